"""Type checkers find the package, installed as a wheel or editable: through files, not through an import hook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
    from collections.abc import Iterable, Iterator

    from shmflink.cli import main as command_line
    from shmflink.common import Row, Time, Types
    from shmflink.datastream import KeyedProcessFunction, ProcessWindowFunction, StreamExecutionEnvironment
    from shmflink.datastream.window import TumblingEventTimeWindows
    from shmflink.expressions import col, count


    class Windows(ProcessWindowFunction):
        def process(
            self, key: str, context: ProcessWindowFunction.Context, elements: Iterable[str]
        ) -> Iterable[tuple[str, int]]:
            yield key, len(list(elements))


    env = StreamExecutionEnvironment.get_execution_environment()
    words = env.from_collection(["a", "b"], Types.STRING())
    keyed = words.key_by(lambda word: word, Types.STRING())
    keyed.window(TumblingEventTimeWindows.of(Time.seconds(1))).process(Windows()).print()
    env.read_parquet("rows/").filter(col("n") > 1).key_by("n").aggregate(rows=count()).print()
    result = env.execute("program").get_job_id()
"""
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, without the native module: where type checkers look does not depend on it."""
    pytest.importorskip("setuptools_rust", reason="the extra `dev` builds the package")
    folder = tmp_path_factory.mktemp("checkout")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    project = folder / "pyproject.toml"
    before, _, rest = project.read_text().partition("[[tool.setuptools-rust.ext-modules]]")
    project.write_text(before + rest[rest.index("\n[") :])
    return folder


@pytest.mark.long
@pytest.mark.parametrize("build", ["build_editable", "build_wheel"])
def test_a_correct_program_is_clean_under_mypy_strict(checkout: Path, tmp_path: Path, build: str) -> None:
    pytest.importorskip("mypy", reason="the extra `dev` installs it")
    subprocess.run([sys.executable, "-c", BUILD, build, str(tmp_path)], cwd=checkout, check=True, timeout=300)
    [wheel] = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    [site] = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    python = str(tmp_path / "venv" / "bin" / "python")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", os.devnull]
    done = subprocess.run([*mypy, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.stdout == "Success: no issues found in 1 source file\n", done.stdout + done.stderr
