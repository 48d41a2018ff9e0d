"""The files of a file sink, read back and combined, contain exactly its input, for any batches, folders and rolling."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.connectors.file_system.writing.partition_columns import NULL_FOLDER
from shmflink.connectors.file_system.writing.parts.part_writers import PartWriters
from shmflink.connectors.file_system.writing.parts.publish import publish
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.core.batch import Batch

SCHEMA = pa.schema([("text", pa.string()), ("n", pa.int32()), ("x", pa.float64()), ("key", pa.string())])
KEYS = st.none() | st.sampled_from(["", "a", "A/b", "..", "100% ü", "x=y", "\n\x7f"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=5)
ROWS = st.fixed_dictionaries(
    {
        "text": st.none() | TEXTS,
        "n": st.none() | st.integers(-9, 9),
        "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "key": KEYS,
    }
)
BATCHES = st.lists(st.lists(ROWS, min_size=1, max_size=20), max_size=6)


@dataclass(frozen=True)
class Plan:
    file_format: str
    columns: tuple[str, ...]
    part_rows: int | None
    part_bytes: int | None
    open_parts_max: int
    row_group_rows: int


PLANS = st.builds(
    Plan,
    st.sampled_from(["parquet", "csv", "json_lines", "ipc"]),
    st.sampled_from([(), ("key",), ("key", "n"), ("n",)]),
    st.none() | st.integers(1, 10),
    st.none() | st.integers(1, 500),
    st.integers(1, 5),
    st.integers(1, 10),
)


def read_csv(path: Path) -> list[dict[str, Any]]:
    convert = pa.csv.ConvertOptions(
        column_types=SCHEMA, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    rows: list[dict[str, Any]] = pa.csv.read_csv(path, parse_options=parse, convert_options=convert).to_pylist()
    return rows


READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "parquet": lambda path: list(pq.read_table(path, partitioning=None).to_pylist()),
    "csv": read_csv,
    "json_lines": lambda path: [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]],
    "ipc": lambda path: list(pa.ipc.open_file(path).read_all().to_pylist()),
}


def folder_values(path: Path, base: Path) -> dict[str, Any]:
    """The values in the names of the folders on the way."""
    made: dict[str, Any] = {}
    for part in path.relative_to(base).parts[:-1]:
        name, _, value = part.partition("=")
        made[name] = None if value == NULL_FOLDER else urllib.parse.unquote(value)
    if made.get("n") is not None:
        made["n"] = int(made["n"])
    return made


def canonical(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in SCHEMA.names)


def write(sink: FileSink, batches: list[list[dict[str, Any]]], is_by_value: bool) -> None:
    parts = PartWriters(sink._settings)
    for batch in batches:
        rows = sink._settings.output_format.encode(Batch.of_columns(pa.RecordBatch.from_pylist(batch, SCHEMA)))
        parts.write(0, [(None if is_by_value else "", rows)])
    parts.finish(0)
    publish(parts.take_finished())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(BATCHES, PLANS)
def test_the_files_together_are_the_input(batches: list[list[dict[str, Any]]], plan: Plan) -> None:
    base = Path(tempfile.mkdtemp(prefix="file-sink-"))
    try:
        options: dict[str, Any] = {} if plan.file_format != "parquet" else {"row_group_rows": plan.row_group_rows}
        sink = getattr(FileSink, plan.file_format)(
            str(base),
            partition_by=plan.columns,
            rolling=RollingPolicy.limits(part_rows=plan.part_rows, part_bytes=plan.part_bytes),
            open_parts_max=plan.open_parts_max,
            **options,
        )
        write(sink, batches, bool(plan.columns))
        files = [path for path in base.rglob("*") if path.is_file()]
        assert not [path for path in files if path.name.startswith(".")]
        per_file = {path: READERS[plan.file_format](path) for path in files}
        read = [{**row, **folder_values(path, base)} for path, rows in per_file.items() for row in rows]
        written = [row for batch in batches for row in batch]
        assert Counter(map(canonical, read)) == Counter(map(canonical, written))
        assert all(0 < len(rows) <= (plan.part_rows or len(written)) for rows in per_file.values())
    finally:
        shutil.rmtree(base)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.integers(-(2**35), 2**37), min_size=1, max_size=30), st.sampled_from(["s", "ms", "us"]))
def test_folders_by_hour_hold_that_hour(moments: list[int | None], unit: str) -> None:
    at = pa.array(moments, pa.timestamp("s")).cast(pa.timestamp(unit, "UTC"))
    assigner = BucketAssigner.timestamp_bucket_assigner("at", "yyyy-MM-dd'T'HH", "Asia/Kolkata")
    local = at.cast(pa.timestamp("s", "Asia/Kolkata")).to_pylist()
    expected = Counter(NULL_FOLDER if moment is None else f"{moment:%Y-%m-%dT%H}" for moment in local)
    split = assigner.split(pa.record_batch({"at": at}))
    assert Counter({folder: rows.num_rows for folder, rows in split}) == expected
