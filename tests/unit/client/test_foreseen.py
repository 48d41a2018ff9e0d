"""The words of a program say what its processes will import; every module that is foreseen exists."""

from __future__ import annotations

import importlib

import pytest

from shmflink.client.foreseen import modules_of_any, modules_of_process, modules_of_program

READING = "shmflink.connectors.file_system.reading.source"
WRITING = "shmflink.connectors.file_system.writing.sink"
CSV = "shmflink.connectors.file_system.formats.csv.format"


@pytest.mark.parametrize(
    ("program", "some", "others"),
    [
        (b"from shmflink.datastream import StreamExecutionEnvironment\n", (), modules_of_any()),
        (b"from shmflink.expressions import col\n", ("pyarrow.compute",), (READING, WRITING)),
        (b"from shmflink.table import TableEnvironment\n", ("pyarrow.compute",), (READING,)),
        (
            b"from shmflink.datastream.connectors.file_system import FileSink\n",
            (READING, WRITING),
            ("pyarrow.parquet",),
        ),
        (b"env.from_source(FileSource.csv(path), times)", (READING, CSV), (WRITING,)),
        (b"'connector' = 'filesystem', 'format' = 'parquet'", (WRITING, "pyarrow.parquet"), (CSV,)),
        (b"\xff\xfe no text", (), modules_of_any()),
    ],
)
def test_the_words_of_a_program(program: bytes, some: tuple[str, ...], others: tuple[str, ...]) -> None:
    found = modules_of_program(program)
    assert set(some) <= set(found)
    assert not set(others) & set(found)
    assert len(found) == len(set(found))


def test_what_a_program_has_imported_its_cluster_imports() -> None:
    assert modules_of_process({"json", "pyarrow", CSV, "shmflink.client.foreseen"}) == (CSV,)


def test_every_module_exists() -> None:
    for name in modules_of_any():
        importlib.import_module(name)
