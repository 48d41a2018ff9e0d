"""`shmflink info --portable`: each call, and what PyFlink has for it."""

from __future__ import annotations

from typing import Any

from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.print_sink import PrintSink
from shmflink.flinktarget.portable import is_portable, portability
from shmflink.plan.calls import Map, MapBatches, Read, Write


def blocks(writer: Any) -> list[list[str]]:
    return [[" ".join(line.split()) for line in part.splitlines()] for part in portability(writer.plan).split("\n\n")]


def test_a_job_of_functions_is_portable(writer: Any) -> None:
    numbers = writer.call(Read(CollectionSource([1]), "numbers"))
    writer.call(Write(PrintSink(), "Print to Std. Out"), writer.call(Map(str), numbers))
    assert is_portable(writer.plan)
    assert blocks(writer) == [
        ["", "portable to PyFlink 2.3: 3 calls, each with a counterpart"],
        ["[1] Read numbers job.py:1", "yes StreamExecutionEnvironment.from_collection()"],
        ["[2] Map Map job.py:2", "yes DataStream.map()"],
        ["[3] Write Print to Std. Out job.py:3", "yes DataStream.print()"],
    ]


def test_what_has_no_counterpart_says_why_and_what_to_write(writer: Any) -> None:
    numbers = writer.call(Read(CollectionSource([1]), "numbers"))
    writer.call(MapBatches(len), numbers)
    assert not is_portable(writer.plan)
    head, _, batches = blocks(writer)
    assert head[1] == "not portable to PyFlink 2.3: 1 of 2 calls without a counterpart"
    assert batches == [
        "[2] MapBatches MapBatches job.py:2",
        "no map_batches() is shmflink only",
        "instead map() or flat_map()",
    ]
