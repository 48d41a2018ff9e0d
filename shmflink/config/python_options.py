"""What a job's functions need besides the program; part of `options.OPTIONS`. Keys and formats are Flink's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shmflink.config import kinds
from shmflink.config.option import Option

__all__ = [
    "PYTHON_ARCHIVES",
    "PYTHON_EXECUTABLE",
    "PYTHON_FILES",
    "PYTHON_OPTIONS",
    "PYTHON_REFUSED",
    "PYTHON_REQUIREMENTS",
]

PYTHON_FILES: Final = Option(
    "python.files",
    kinds.STRING,
    None,
    "Modules, package folders and zip archives that functions import, separated by commas.",
)
PYTHON_REQUIREMENTS: Final = Option(
    "python.requirements",
    kinds.STRING,
    None,
    "A pip requirements file, installed when the job is submitted; optionally, after a #, a folder with all its "
    "packages.",
)
PYTHON_ARCHIVES: Final = Option(
    "python.archives",
    kinds.STRING,
    None,
    "Zip and tar archives, separated by commas. Functions find them unpacked in their working directory; a name "
    "after a # replaces the archive's name there.",
)
PYTHON_EXECUTABLE: Final = Option(
    "python.executable",
    kinds.STRING,
    None,
    "Accepted for compatibility with Flink: functions run in the Python that runs the program; any other value is an "
    "error.",
)

PYTHON_OPTIONS: Final = (PYTHON_FILES, PYTHON_REQUIREMENTS, PYTHON_ARCHIVES, PYTHON_EXECUTABLE)

_PATHS: Final = (
    "functions import what the program imports: add modules and folders with python.files, or set PYTHONPATH where the "
    "program starts"
)
PYTHON_REFUSED: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "python.pythonpath": ((), _PATHS),
    "python.operator-chaining.enabled": (("true",), "set pipeline.operator-chaining.enabled to false"),
}
"""PyFlink's options that have another name here; the same form as `checkpoint_options.REFUSED`."""
