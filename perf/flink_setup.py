"""`python -m perf setup-flink`: an environment of its own for Apache Flink, and where later runs find it.

The package `apache-flink` wants an old pyarrow, so it cannot share an environment with shmflink; and Java.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perf.data import cache_folder

__all__ = ["find_python", "main", "missing"]

REQUIREMENT: Final = "apache-flink==2.3.*"
PYTHONS: Final = ((3, 9), (3, 12))  # the oldest and the newest that its dependencies are built for
JAVA: Final = 17
NOT_INSTALLED: Final = "not installed: python -m perf setup-flink"


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 Flink is ready, 1 something is missing that it needs."""
    parser = argparse.ArgumentParser(prog="python -m perf setup-flink", description=__doc__)
    parser.add_argument("--folder", type=Path, default=_pointer().parent / "flink-2.3", help="where to (%(default)s)")
    parser.add_argument("--python", default=None, help="an interpreter, 3.9 to 3.12; found by itself otherwise")
    chosen = parser.parse_args(arguments)
    problem = java_problem()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    python = chosen.python or _suitable_python()
    if python is None:
        print("Apache Flink's package needs Python 3.9 to 3.12: install one and name it with --python", file=sys.stderr)
        return 1
    subprocess.run([python, "-m", "venv", str(chosen.folder)], check=True)
    subprocess.run([str(chosen.folder / "bin" / "python"), "-m", "pip", "install", "-q", REQUIREMENT], check=True)
    _pointer().parent.mkdir(parents=True, exist_ok=True)
    _pointer().write_text(str(chosen.folder.absolute()) + "\n", encoding="utf-8")
    print(f"{REQUIREMENT} is in {chosen.folder}; `python -m perf CASE --peers` uses it")
    return 0


def find_python() -> Path | None:
    """The interpreter of the environment that was set up last; None where there is none."""
    if not _pointer().is_file():
        return None
    folder = Path(_pointer().read_text(encoding="utf-8").strip())
    python = folder / "bin" / "python"
    return python if python.exists() and list(folder.glob("lib/python3*/site-packages/pyflink")) else None


def missing() -> str | None:
    """Why Flink cannot run here; None where it can."""
    return NOT_INSTALLED if find_python() is None else java_problem()


def java_problem() -> str | None:
    """What is wrong with the Java of this machine; None where Flink can run on it."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    wanted = f"install Java {JAVA} (Debian and Ubuntu: apt-get install openjdk-{JAVA}-jre-headless) or set JAVA_HOME"
    if java is None or not os.path.exists(java):
        return f"no Java found: {wanted}"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA:
        return f"{java} is version {found[1] if found else '?'}: {wanted}"
    return None


def _pointer() -> Path:
    """A file that names the environment's folder."""
    return cache_folder().parent / "flink-environment"


def _suitable_python() -> str | None:
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return sys.executable
    return next((found for minor in (12, 11, 10, 9) if (found := shutil.which(f"python3.{minor}"))), None)
