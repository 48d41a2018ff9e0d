"""Apache Flink's Python package in an environment of its own, and where later runs find it.

The package `apache-flink` pins an old pyarrow, so it cannot share an environment with shmflink; it also needs Java.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from shmflink.errors import ResourceError, UsageError

__all__ = ["SET_UP", "default_folder", "find_python", "java_problem", "missing", "set_up"]

REQUIREMENT: Final = "apache-flink==2.3.*"
PYTHONS: Final = ((3, 9), (3, 12))  # the oldest and the newest that its dependencies are built for
JAVA: Final = 17
SET_UP: Final = "shmflink flink setup"


def default_folder() -> Path:
    """The folder that `set_up` creates unless another one is given."""
    return _pointer().parent / "flink-2.3"


def set_up(folder: Path, python: str | None = None) -> None:
    """Installs Flink's package into `folder`, and remembers the folder. `python`: an interpreter, 3.9 to 3.12.

    Functions of a job are pickled, so jobs run there only with the Python version that runs shmflink.

    Raises:
        UsageError: there is no Java 17, or no suitable Python.
        ResourceError: the installation failed; pip has said why.
    """
    problem = java_problem()
    if problem is not None:
        raise UsageError(problem)
    python = python or _suitable_python()
    if python is None:
        raise UsageError("Apache Flink's package needs Python 3.9 to 3.12: install one and name it with --python")
    for command in (
        [python, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", REQUIREMENT],
    ):
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise ResourceError(f"{' '.join(command)} failed with exit code {done.returncode}")
    _pointer().parent.mkdir(parents=True, exist_ok=True)
    _pointer().write_text(str(folder.absolute()) + "\n", encoding="utf-8")


def find_python() -> Path | None:
    """The interpreter of the environment that was set up last; None if there is none."""
    if not _pointer().is_file():
        return None
    folder = Path(_pointer().read_text(encoding="utf-8").strip())
    python = folder / "bin" / "python"
    return python if python.exists() and list(folder.glob("lib/python3*/site-packages/pyflink")) else None


def missing() -> str | None:
    """Why Flink cannot run here; None if it can."""
    return f"Apache Flink is not installed: {SET_UP}" if find_python() is None else java_problem()


def java_problem() -> str | None:
    """What is wrong with this machine's Java; None if Flink can run on it."""
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
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "shmflink" / "flink-environment"


def _suitable_python() -> str | None:
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return sys.executable
    return next((found for minor in (12, 11, 10, 9) if (found := shutil.which(f"python3.{minor}"))), None)
