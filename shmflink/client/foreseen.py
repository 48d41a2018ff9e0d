"""What the processes of a job will import, foreseen from its program, so that it is imported once and not in each.

A guess costs an import at most: whatever a process lacks it imports itself. Only modules of ours and of what we need.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final, NamedTuple

__all__ = ["Foreseen", "modules_of_any", "modules_of_process", "modules_of_program"]

_FILES: Final = "shmflink.connectors.file_system"
_READING: Final = f"{_FILES}.reading.source"
_EXPRESSIONS: Final = (
    "pyarrow.compute",
    "shmflink.expressions.expression",
    "shmflink.expressions.predicates",
    "shmflink.expressions.binding",
    "shmflink.connectors.collect",
    "shmflink.operators.aggregates.group",
    "shmflink.operators.columns.expressions",
)
# By a word in the program: what the client and the JobManager (whose enumerators belong to sources) import, and tasks.
_BY_WORD: Final = {
    r"File(Source|System)": (_READING,),
    r"file_system|filesystem": (_READING, f"{_FILES}.writing.sink"),
    r"parquet": ("pyarrow.parquet", f"{_FILES}.formats.parquet.format"),
    r"csv": (f"{_FILES}.formats.csv.format",),
    r"json_lines": (f"{_FILES}.formats.json.format",),
}
# By a word: what tasks import, but not the JobManager.
_OF_TASKS_BY_WORD: Final = {
    r"shmflink\.(expressions|table)": (*_EXPRESSIONS, "shmflink.operators.aggregates.local"),
    r"\.window": ("shmflink.operators.windows.pane_columns", "shmflink.operators.windows.pane_operator"),
    r"\bnumpy\b": ("numpy.ma",),  # pyarrow asks whether an array is masked
}
_PROGRAM_BYTES_MAX: Final = 1 << 20  # of a longer one, the beginning says it


class Foreseen(NamedTuple):
    """Modules that all processes of a job will import, and those that only its tasks will, or its client as well."""

    everywhere: tuple[str, ...] = ()
    in_tasks: tuple[str, ...] = ()


def modules_of_program(text: bytes) -> Foreseen:
    """From the words in the file that a job is started from, before it is compiled or imports anything."""
    start = text[:_PROGRAM_BYTES_MAX].decode("latin-1")
    everywhere = [module for word, modules in _BY_WORD.items() if re.search(word, start) for module in modules]
    in_tasks = [module for word, modules in _OF_TASKS_BY_WORD.items() if re.search(word, start) for module in modules]
    if _READING in everywhere and in_tasks[: len(_EXPRESSIONS)] == [*_EXPRESSIONS]:
        everywhere += _EXPRESSIONS  # a source of files has predicates
    return Foreseen(tuple(dict.fromkeys(everywhere)), tuple(dict.fromkeys(in_tasks)))


def modules_of_process(imported: Container[str]) -> tuple[str, ...]:
    """From what the program has imported by the time its cluster starts."""
    return tuple(module for module in modules_of_any() if module in imported)


def modules_of_any() -> tuple[str, ...]:
    """For jobs that nobody knows yet."""
    every = [module for table in (_BY_WORD, _OF_TASKS_BY_WORD) for modules in table.values() for module in modules]
    return tuple(dict.fromkeys(every))
