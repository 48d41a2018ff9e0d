from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.output import ParquetOptions, ParquetWriterFactory
from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.connectors.file_system.writing.encoders import OutputFormat
from shmflink.connectors.file_system.writing.parts import part_writers as module
from shmflink.connectors.file_system.writing.parts.part_writers import PartNames, PartWriters, WriterSettings
from shmflink.connectors.file_system.writing.parts.publish import publish
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.text_output import CsvStyle, CsvWriterFactory
from shmflink.errors import ConfigurationError, ResourceError

LINES = CsvWriterFactory(CsvStyle(header=False))


def writers(
    path: Path,
    *columns: str,
    output_format: OutputFormat = LINES,
    rolling: RollingPolicy | None = None,
    open_parts_max: int = 100,
    buffered_bytes_max: int = 1 << 20,
) -> PartWriters:
    buckets = BucketAssigner.column_bucket_assigner(*columns) if columns else BucketAssigner()
    rolling = rolling or RollingPolicy.on_checkpoint_rolling_policy()
    names = PartNames("part", ".x")
    return PartWriters(
        WriterSettings(
            str(path), FileSystem(), output_format, buckets, rolling, names, open_parts_max, buffered_bytes_max
        )
    )


def write(parts: PartWriters, columns: dict[str, Sequence[Any]], bucket: str | None = "", now_ms: int = 0) -> None:
    parts.write(now_ms, [(bucket, pa.record_batch(columns))])


def contents(folder: Path) -> list[tuple[str, str]]:
    """Folder and text of each visible file, in the order in which they were begun."""
    paths = [path for path in folder.rglob("*.x") if not path.name.startswith(".")]
    paths.sort(key=lambda path: int(path.stem.rsplit("-", 1)[1]))
    return [(str(path.parent.relative_to(folder)), path.read_text()) for path in paths]


def finish(parts: PartWriters) -> None:
    parts.finish(0)
    publish(parts.take_finished())


def test_nothing_is_seen_before_it_is_published(tmp_path: Path) -> None:
    parts = writers(tmp_path)
    write(parts, {"a": [1, 2]})
    parts.finish(0)
    assert os.listdir(tmp_path) == []
    (finished,) = parts.take_finished()
    assert (finished.rows, parts.take_finished()) == (2, [])
    publish([finished])
    assert contents(tmp_path) == [(".", "1\n2\n")]


def test_rows_per_part_are_exact(tmp_path: Path) -> None:
    parts = writers(tmp_path, rolling=RollingPolicy.limits(part_rows=3))
    write(parts, {"a": [1, 2]})
    write(parts, {"a": [3, 4, 5, 6, 7, 8, 9]})
    write(parts, {"a": [10]})
    finish(parts)
    assert [text.split() for _, text in contents(tmp_path)] == [
        ["1", "2", "3"],
        ["4", "5", "6"],
        ["7", "8", "9"],
        ["10"],
    ]


def test_rows_go_to_their_folders_without_their_column(tmp_path: Path) -> None:
    parts = writers(tmp_path, "k")
    write(parts, {"k": ["a", "b"], "n": [1, 2]}, None)
    write(parts, {"k": ["b", "a"], "n": [3, 4]}, None)
    finish(parts)
    assert contents(tmp_path) == [("k=a", "1\n4\n"), ("k=b", "2\n3\n")]


def test_rows_of_another_schema_are_split_apart(tmp_path: Path) -> None:
    parts = writers(tmp_path, "k")
    write(parts, {"k": ["a"], "n": [1]}, None)
    write(parts, {"k": [7], "n": [2]}, None)
    finish(parts)
    assert contents(tmp_path) == [("k=a", "1\n"), ("k=7", "2\n")]


def test_the_least_recently_written_part_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SPLIT_ROWS", 1)
    parts = writers(tmp_path, "k", open_parts_max=2)
    for key, number in (("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5), ("b", 6)):
        write(parts, {"k": [key], "n": [number]}, None)
    finish(parts)
    assert contents(tmp_path) == [("k=a", "1\n3\n5\n"), ("k=b", "2\n"), ("k=c", "4\n"), ("k=b", "6\n")]


def test_what_all_parts_hold_together_is_bounded(tmp_path: Path) -> None:
    parts = writers(tmp_path, output_format=ParquetWriterFactory(), buffered_bytes_max=10_000)
    for bucket, rows in (("a", 1000), ("b", 100), ("c", 200)):  # 8 bytes each
        write(parts, {"n": list(range(rows))}, bucket)
    finish(parts)
    files = {path.parent.name: pq.ParquetFile(path) for path in tmp_path.rglob("*.x")}
    assert {name: (file.num_row_groups, file.metadata.num_rows) for name, file in files.items()} == {
        "a": (1, 1000),
        "b": (1, 100),
        "c": (1, 200),
    }
    parts = writers(tmp_path, output_format=ParquetWriterFactory(), buffered_bytes_max=1000)
    for bucket in ("a", "b", "a"):
        write(parts, {"n": list(range(100))}, bucket)
    assert sum(part.writer.buffered_bytes for part in parts._open.values()) < 1000
    parts.discard()


def test_age_and_inactivity_are_looked_at_without_a_write(tmp_path: Path) -> None:
    parts = writers(tmp_path, rolling=RollingPolicy.limits(age_ms=100, inactivity_ms=10))
    write(parts, {"a": [1]}, "old", 0)
    write(parts, {"a": [2]}, "new", 95)
    parts.roll(9)
    assert parts.take_finished() == []
    parts.roll(96)
    finished = parts.take_finished()
    assert [os.path.basename(os.path.dirname(part.path)) for part in finished] == ["old"]
    publish(finished)
    parts.discard()
    assert contents(tmp_path) == [("old", "1\n")]


def test_discard_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_DESCRIPTORS_MAX", 0)
    parts = writers(tmp_path, rolling=RollingPolicy.limits(part_rows=1))
    write(parts, {"a": [1, 2, 3]})
    assert any(name.startswith(".part") for name in os.listdir(tmp_path))
    parts.discard()
    assert os.listdir(tmp_path) == []


def test_partitioning_by_all_columns_leaves_nothing_to_write(tmp_path: Path) -> None:
    parts = writers(tmp_path, "k")
    write(parts, {"k": ["a"]}, None)
    with pytest.raises(ConfigurationError, match=r"partitions by all columns \(k\)"):
        parts.finish(0)
    parts.discard()


def test_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = writers(tmp_path)
    write(parts, {"a": [1]})

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    (part,) = parts._open.values()
    monkeypatch.setattr(part.writer, "write", refuse)
    with pytest.raises(ResourceError, match=r"part-.*\.x: cannot be written: No space left on device"):
        write(parts, {"a": [2]})
    monkeypatch.setattr(part.writer, "close", refuse)
    with pytest.raises(ResourceError, match="No space left on device"):
        parts.finish(0)
    parts.discard()
    assert os.listdir(tmp_path) == []


def test_a_killed_process_leaves_only_hidden_files(tmp_path: Path) -> None:
    """Also of full parts that wait under a name."""
    script = f"""
import os, signal
import pyarrow as pa
from shmflink.connectors.file_system.writing.parts import part_writers
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
part_writers._WAITING_DESCRIPTORS_MAX = 1
sink = FileSink.parquet({str(tmp_path)!r}, partition_by="k", rolling=RollingPolicy.limits(part_rows=1))
parts = part_writers.PartWriters(sink._settings)
parts.write(0, [(None, pa.record_batch({{"k": [1, 2, 1, 2], "n": [1, 2, 3, 4]}}))])
parts.roll(0)
parts.finish(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    left = os.listdir(tmp_path)
    assert left
    assert all(re.fullmatch(r"\.part-.*\.inprogress\.[0-9a-f]{8}", name) for name in left)


def test_parquet_rolls_by_size_at_its_row_groups(tmp_path: Path) -> None:
    """One write of many row groups, and row groups that are larger than a part may be."""
    rows = {"n": list(range(40_000))}
    for options in (ParquetOptions(row_group_rows=500, compression="none"), ParquetOptions(compression="none")):
        folder = tmp_path / str(options.row_group_rows)
        folder.mkdir()
        parts = writers(
            folder,
            output_format=ParquetWriterFactory(options=options),
            rolling=RollingPolicy.limits(part_bytes=40_000),
        )
        write(parts, rows)
        finish(parts)
        files = sorted(folder.glob("*.x"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
        assert [n for path in files for n in pq.read_table(path)["n"].to_pylist()] == rows["n"]
        assert len(files) > 4
        assert all(path.stat().st_size < 2 * 40_000 + 8_000 for path in files)


def test_text_rolls_by_size_within_a_batch(tmp_path: Path) -> None:
    parts = writers(tmp_path, rolling=RollingPolicy.limits(part_bytes=1000))
    write(parts, {"n": [10_000 + n for n in range(5000)]})
    finish(parts)
    sizes = [len(text) for _, text in contents(tmp_path)]
    assert sum(sizes) == 5000 * 6
    assert all(1000 <= size < 2000 for size in sizes[:-1])


def test_thousands_of_parts_leave_no_descriptor_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    parts = writers(tmp_path, "k", open_parts_max=8)
    write(parts, {"k": list(range(700)), "n": list(range(700))}, None)
    parts.finish(0)
    finished = parts.take_finished()
    publish(finished)
    assert descriptors() == before
    assert sorted(text for _, text in contents(tmp_path)) == sorted(f"{n}\n" for n in range(700))
    write(parts, {"k": list(range(300)), "n": list(range(300))}, None)
    parts.roll(0)
    parts.discard()
    assert descriptors() == before
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))
