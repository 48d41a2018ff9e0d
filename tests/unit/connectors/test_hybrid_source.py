"""One source after the other: nothing of the next one is read before all readers have finished, also after a
restart.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.base import Boundedness
from shmflink.connectors.collection import CollectionSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSource, StreamFormat
from shmflink.datastream.connectors.hybrid_source import HybridSource
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.errors import ConfigurationError
from shmflink.testing import MiniCluster


def numbers(*bounds: tuple[int, int]) -> HybridSource:
    first, *others = [NumberSequenceSource(*pair) for pair in bounds]
    builder = HybridSource.builder(first)
    for source in others:
        builder.add_source(source)
    return builder.build()


def sources_of(splits: list[Any]) -> list[int]:
    return [split.payload[0] for split in splits]


def test_the_next_source_begins_when_no_reader_has_a_split_of_the_one_before() -> None:
    enumerator = numbers((1, 2), (3, 4)).create_enumerator(2)
    first = [enumerator.next_split(subtask) for subtask in (0, 1)]
    assert sources_of(first) == [0, 0]
    assert enumerator.next_split(0) is None  # subtask 1 still reads
    assert not enumerator.is_exhausted
    assert sources_of([enumerator.next_split(1), enumerator.next_split(0)]) == [1, 1]
    assert enumerator.next_split(0) is None
    assert enumerator.is_exhausted
    enumerator.close()


def test_after_a_restart_every_reader_asks_before_the_next_source_begins() -> None:
    source = numbers((1, 1), (2, 3))
    enumerator = source.create_enumerator(2)
    assert sources_of([enumerator.next_split(0)]) == [0]
    restored = pickle.loads(pickle.dumps(source)).create_enumerator(2, enumerator.snapshot())
    assert restored.next_split(1) is None  # subtask 0 may have what the checkpoint says
    assert sources_of([restored.next_split(0)]) == [1]
    restored.add_splits_back([restored.next_split(1)])
    assert not restored.is_exhausted
    assert sources_of([restored.next_split(0)]) == [1]


@pytest.mark.parametrize("slots", [1, 2])
def test_all_rows_of_all_sources_come_once(slots: int) -> None:
    with MiniCluster(slots=slots):
        env = StreamExecutionEnvironment.get_execution_environment()
        stream = env.from_source(numbers((1, 9), (10, 10), (11, 20)), WatermarkStrategy.no_watermarks(), "numbers")
        found = list(stream.execute_and_collect())
    assert sorted(found) == list(range(1, 21))
    if slots == 1:
        assert found == sorted(found)


def test_files_and_then_a_collection(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    files = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path)).build()
    source = HybridSource.builder(files).add_source(CollectionSource(["three"], Types.STRING())).build()
    assert source.fixed_parallelism == 1
    with MiniCluster(slots=2):
        env = StreamExecutionEnvironment.get_execution_environment()
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
        assert list(stream.execute_and_collect()) == ["one", "two", "three"]


def test_a_source_without_an_end_comes_last(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n")
    watched = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path))
    endless = NumberSequenceSource(1, 2)
    endless.boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    with pytest.raises(ConfigurationError, match="NumberSequenceSource is unbounded, so no source can follow it"):
        HybridSource.builder(endless).add_source(NumberSequenceSource(1, 2)).build()
    with pytest.raises(ConfigurationError, match="all sources must produce the same type"):
        HybridSource.builder(NumberSequenceSource(1, 2)).add_source(watched.build()).build()
    with pytest.raises(TypeError, match="takes Sources, got int"):
        HybridSource.builder(5)  # type: ignore[arg-type]
    assert (
        HybridSource.builder(NumberSequenceSource(1, 2)).add_source(endless).build().boundedness is endless.boundedness
    )
