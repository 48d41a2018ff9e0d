"""Brings PyFlink's examples into a folder: `python -m tests.pyflink_suite.fetch FOLDER` prints where they are.

They come out of the wheel of the pinned release, without its dependencies. Nothing is downloaded where the folder has
them already. Set SHMFLINK_PYFLINK_EXAMPLES to the printed folder to run tests/integration/test_pyflink_examples.py.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RELEASE = "2.3.0"
_PLATFORM = (
    "--python-version",
    "3.11",
    "--implementation",
    "cp",
    "--abi",
    "cp311",
    "--platform",
    "manylinux2014_x86_64",
)
_WANTED = "pyflink/examples/"


def fetch(folder: Path) -> Path:
    """The folder of the DataStream examples below `folder`; CalledProcessError where pip cannot download."""
    examples = folder / RELEASE / "pyflink" / "examples" / "datastream"
    if examples.is_dir():
        return examples
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", *_PLATFORM]
        subprocess.run([*pip, "--dest", work, f"apache-flink=={RELEASE}"], check=True)
        (wheel,) = Path(work).glob("*.whl")
        unpacked = Path(work) / "unpacked"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith(_WANTED)])
        unpacked.rename(folder / RELEASE)  # whole or not at all
    return examples


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1])))
