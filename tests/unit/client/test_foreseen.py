"""The words of a program say what its processes will import; every module that is foreseen exists."""

from __future__ import annotations

import importlib

import pytest

from shmflink.client.foreseen import modules_of_any, modules_of_process, modules_of_program

READING = "shmflink.connectors.file_system.reading.source"
WRITING = "shmflink.connectors.file_system.writing.sink"
CSV = "shmflink.connectors.file_system.formats.csv.format"


@pytest.mark.parametrize(
    ("program", "everywhere", "in_tasks"),
    [
        (b"from shmflink.datastream import StreamExecutionEnvironment\n", (), ()),
        (b"from shmflink.expressions import col\n", (), ("pyarrow.compute",)),
        (b"from shmflink.table import TableEnvironment\n", (), ("pyarrow.compute",)),
        (b"from shmflink.datastream.connectors.file_system import FileSink\n", (READING, WRITING), ()),
        (b"env.from_source(FileSource.csv(path), times)", (READING, CSV), ()),
        (b"'connector' = 'filesystem', 'format' = 'parquet'", (WRITING, "pyarrow.parquet"), ()),
        (b"from shmflink.expressions import col\nFileSource", (READING, "pyarrow.compute"), ("pyarrow.compute",)),
        (b"import numpy as np\n", (), ("numpy.ma",)),
        (b"from shmflink.datastream.window import Trigger\n", (), ("shmflink.operators.windows.pane_operator",)),
        (b"\xff\xfe no text", (), ()),
    ],
)
def test_the_words_of_a_program(program: bytes, everywhere: tuple[str, ...], in_tasks: tuple[str, ...]) -> None:
    """What a source of files may evaluate, its enumerator in the JobManager may, too; other sources have none."""
    found = modules_of_program(program)
    assert set(everywhere) <= set(found.everywhere)
    assert set(in_tasks) <= set(found.in_tasks)
    for some, modules in ((everywhere, found.everywhere), (in_tasks, found.in_tasks)):
        assert bool(some) == bool(modules)
        assert len(modules) == len(set(modules))


def test_what_a_program_has_imported_its_cluster_imports() -> None:
    assert modules_of_process({"json", "pyarrow", CSV, "shmflink.client.foreseen"}) == (CSV,)


def test_every_module_exists() -> None:
    for name in modules_of_any():
        importlib.import_module(name)
