"""JSON lines against Python's json module, wherever the file is cut and however small the blocks are."""

from __future__ import annotations

import json
import math
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.formats.json.format import JsonLinesFormat
from shmflink.connectors.file_system.reading import record_cursor, record_starts
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.core.batch import Batch

POINT = pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string()))])
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("ä b", pa.string()),
        ("price", pa.float64()),
        ("ok", pa.bool_()),
        ("point", POINT),
        ("points", pa.list_(POINT)),
        ("counts", pa.map_(pa.string(), pa.int64())),
    ]
)

texts = st.text(max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
points = st.fixed_dictionaries({}, optional={"x": st.none() | floats, "tags": st.none() | st.lists(texts, max_size=3)})
records = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | st.integers(-(2**63), 2**63 - 1),
        "ä b": st.none() | texts,
        "price": st.none() | floats,
        "ok": st.none() | st.booleans(),
        "point": st.none() | points,
        "points": st.none() | st.lists(st.none() | points, max_size=3),
        "counts": st.none() | st.dictionaries(texts, st.integers(-5, 5), max_size=3),
        "extra": st.recursive(st.none() | texts | st.booleans(), lambda inner: st.lists(inner, max_size=2)),
    },
)


def plain(kind: pa.DataType, value: Any) -> Any:
    """What pyarrow makes of the column: keys that are missing are None, maps are lists of pairs."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: plain(field.type, value.get(field.name)) for field in kind}
    if pa.types.is_map(kind):
        return list(value.items())
    if pa.types.is_list(kind):
        return [plain(kind.value_type, item) for item in value]
    return value


def read(path: Path, borders: list[int], made: JsonLinesFormat) -> list[dict[str, Any]]:
    """All rows of the ranges between the borders, each cursor restored after each batch."""
    found: list[dict[str, Any]] = []
    for start, stop in pairwise(borders):
        split = Split("0", FileRange(str(path), start, stop - start))
        while True:
            with closing(made.open_split(split)) as cursor:
                batch = cursor.next_batch()
                split = cursor.remaining()
            if batch is None:
                break
            assert isinstance(batch, Batch)
            batch.columns().validate(full=True)
            found += batch.columns().to_pylist()
    return found


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 64)
    monkeypatch.setattr(record_cursor, "_TAIL_BYTES", 16)
    monkeypatch.setattr(record_starts, "_PIECE_BYTES", 64)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, max_size=12), st.lists(st.integers(1, 600), max_size=4), st.booleans(), st.booleans())
def test_what_json_writes_is_read_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    cuts: list[int],
    is_ascii: bool,
    has_spaces: bool,
) -> None:
    separators = (" , ", " : ") if has_spaces else (",", ":")
    lines = (json.dumps(row, ensure_ascii=is_ascii, separators=separators) + "\n" for row in rows)
    data = "".join(lines).encode("utf-8", "surrogatepass")
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    path.write_bytes(data)
    made = JsonLinesFormat(SCHEMA).with_schema(SCHEMA)
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    expected = [{field.name: plain(field.type, row.get(field.name)) for field in SCHEMA} for row in rows]
    assert read(path, borders, made) == expected
    some = pa.schema([SCHEMA.field("points"), SCHEMA.field("id")])
    assert read(path, borders, made.with_schema(some)) == [{n: row[n] for n in some.names} for row in expected]


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from('{}[],:"\\ua1-.e 0ntrulfs'), max_size=20))
def test_malformed_values_are_refused(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.jsonl"
    path.write_text(f'{{"a": {value}}}\n')
    schema = pa.schema([("a", pa.float64())])
    found = read(path, [0, path.stat().st_size], JsonLinesFormat(schema, on_error="skip").with_schema(schema))
    try:
        expected = json.loads(path.read_text())
    except ValueError:
        return
    number = expected.get("a")
    if set(expected) == {"a"} and (
        number is None or (isinstance(number, float | int) and not isinstance(number, bool))
    ):
        assert found == [{"a": None if number is None else float(number)}]
        assert number is None or math.isfinite(number) or math.isinf(number)
