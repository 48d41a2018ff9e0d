"""What the processes of a job will import, foreseen from its program, so that it is imported once and not in each.

A guess costs an import at most: whatever a process lacks it imports itself. Only modules of ours and of pyarrow.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

__all__ = ["modules_of_any", "modules_of_process", "modules_of_program"]

_OPERATORS: Final = (
    "shmflink.connectors.collect",
    "shmflink.operators.aggregates.group",
    "shmflink.operators.aggregates.local",
    "shmflink.operators.columns.expressions",
)
_READING: Final = "shmflink.connectors.file_system.reading.source"
_WRITING: Final = "shmflink.connectors.file_system.writing.sink"
_FORMATS: Final = "shmflink.connectors.file_system.formats"
# Whoever writes these words in a program has the client, the JobManager (sources) and the TaskManagers import this.
_BY_WORD: Final = {
    r"shmflink\.(expressions|table)": (
        "pyarrow.compute",
        "shmflink.expressions.expression",
        "shmflink.expressions.predicates",
        "shmflink.expressions.binding",
        *_OPERATORS,
    ),
    r"File(Source|System)": (_READING,),
    r"file_system|filesystem": (_READING, _WRITING),
    r"parquet": ("pyarrow.parquet", f"{_FORMATS}.parquet.format"),
    r"csv": (f"{_FORMATS}.csv.format",),
    r"json_lines": (f"{_FORMATS}.json.format",),
}
_PROGRAM_BYTES_MAX: Final = 1 << 20  # of a longer one, the beginning says it


def modules_of_program(text: bytes) -> tuple[str, ...]:
    """From the words in the file that a job is started from, before it is compiled or imports anything."""
    start = text[:_PROGRAM_BYTES_MAX].decode("latin-1")
    found = [modules for word, modules in _BY_WORD.items() if re.search(word, start)]
    return tuple(dict.fromkeys(module for modules in found for module in modules))


def modules_of_process(imported: Container[str]) -> tuple[str, ...]:
    """From what the program has imported by the time its cluster starts."""
    return tuple(module for module in modules_of_any() if module in imported)


def modules_of_any() -> tuple[str, ...]:
    """For jobs that nobody knows yet."""
    return tuple(dict.fromkeys(module for modules in _BY_WORD.values() for module in modules))
