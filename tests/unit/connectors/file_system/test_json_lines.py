from __future__ import annotations

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.source import FileSource
from shmflink.errors import ConfigurationError, DataFormatError


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def table(driver: Any, source: FileSource, parallelism: int = 1) -> pa.Table:
    batches = [batch.columns() for batch in driver.batches(source, parallelism)]
    return pa.Table.from_batches(batches, source.schema)


def test_types_are_inferred_nested_ones_too(driver: Any, tmp_path: Path) -> None:
    path = written(
        tmp_path / "in.jsonl",
        '{"id": 1, "x": 1, "s": "a", "ok": true, "day": "2024-02-29", "at": "2024-02-29T12:00:00Z", "n": null}\n'
        "\n"
        '{"id": 2, "x": 1.5, "s": null, "o": {"a": [1, null], "b": {"c": "x"}}, "mixed": 1, "e": {}, "l": []}\r\n'
        '  {"o": {"d": 1}, "mixed": "m", "s": "\\u00e4\\n", "e": {"k": [1]}, "at": "2024-02-29 13:00+01:00"}  \n'
        '{"mixed": {"z": [true]}}',
    )
    source = FileSource.json_lines(str(path))
    inner = pa.struct({"a": pa.list_(pa.int64()), "b": pa.struct({"c": pa.string()}), "d": pa.int64()})
    assert source.schema == pa.schema(
        {
            "id": pa.int64(),
            "x": pa.float64(),
            "s": pa.string(),
            "ok": pa.bool_(),
            "day": pa.date32(),
            "at": pa.timestamp("us", "UTC"),
            "n": pa.string(),
            "o": inner,
            "mixed": pa.string(),
            "e": pa.struct({"k": pa.list_(pa.int64())}),
            "l": pa.list_(pa.string()),
        }
    )
    first, second, third, last = table(driver, source).to_pylist()
    noon = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    assert (first["id"], first["day"], first["at"], first["o"]) == (1, dt.date(2024, 2, 29), noon, None)
    assert second["o"] == {"a": [1, None], "b": {"c": "x"}, "d": None}
    assert (second["mixed"], second["e"], second["l"]) == ("1", {"k": None}, [])
    assert (third["s"], third["mixed"], third["at"], third["e"]) == ("ä\n", "m", noon, {"k": [1]})
    assert last["mixed"] == '{"z": [true]}'


def test_declared_types(driver: Any, tmp_path: Path) -> None:
    schema = pa.schema(
        {
            "i8": pa.int8(),
            "u64": pa.uint64(),
            "text": pa.int64(),
            "f32": pa.float32(),
            "dec": pa.decimal128(10, 2),
            "raw": pa.binary(),
            "time": pa.time32("ms"),
            "at": pa.timestamp("ms"),
            "tags": pa.map_(pa.string(), pa.list_(pa.int64())),
            "big": pa.large_string(),
        }
    )
    path = written(
        tmp_path / "in.jsonl",
        '{"i8": -128, "u64": 18446744073709551615, "text": "12", "f32": NaN, "dec": 1.5, "raw": "/gA=", '
        '"time": "01:02:03.004", "at": "14.11.2023 22:13", "tags": {"a": [1], "b": null}, "big": "x"}\n',
    )
    source = FileSource.json_lines(str(path), schema=schema, timestamp_formats=["%d.%m.%Y %H:%M"])
    (row,) = table(driver, source).to_pylist()
    assert (row["i8"], row["u64"], row["text"], row["dec"]) == (-128, 2**64 - 1, 12, Decimal("1.50"))
    assert row["f32"] != row["f32"]
    assert (row["raw"], row["time"]) == (b"\xfe\x00", dt.time(1, 2, 3, 4000))
    assert (row["at"], row["tags"]) == (dt.datetime(2023, 11, 14, 22, 13), [("a", [1]), ("b", None)])
    assert row["big"] == "x"


def test_keys_in_any_order_and_twice(driver: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", '{"a":1,"b":2}\n{"b":3,"a":4}\n{"b":5}\n{"x":0,"a":6,"a":7}\n{"a":8,"b":9}\n')
    source = FileSource.json_lines(str(path), schema=pa.schema({"a": pa.int64(), "b": pa.int64()}))
    found = [(row["a"], row["b"]) for row in table(driver, source).to_pylist()]
    assert found == [(1, 2), (4, 3), (None, 5), (7, None), (8, 9)]


def test_missing_and_extra_keys(driver: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", '{"a":1,"b":2}\n{"a":1}\n{"a":1,"b":2,"c":{"d":[3]}}\n')
    schema = pa.schema({"a": pa.int64(), "b": pa.int64()})
    with pytest.raises(DataFormatError, match=r"line 2 .*the key `b` is missing"):
        driver.batches(FileSource.json_lines(str(path), schema=schema, missing_keys="fail"))
    extra = FileSource.json_lines(str(path), schema=schema, extra_keys="fail")
    with pytest.raises(DataFormatError, match=r"line 3 .*the key `c` is not in the schema"):
        driver.batches(extra)
    some = FileSource.json_lines(str(path), schema=schema, extra_keys="fail", on_error="skip").with_columns(["a"])
    assert some is not None
    assert table(driver, some).to_pylist() == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]", "`[1]` where an object was expected"),
        ('{"a": 1', "the line ends where `,` or `}` was expected"),
        ('{"a": 1} x', "`x` where the end of the line was expected"),
        ('{"a": 1.5}', "column 'a': `1.5` is no int64"),
        ('{"a": 99999999999999999999}', "is no int64"),
        ('{"o": {"b": ["x"]}}', "column 'o': in `o.b`: `\"x\"` is no double"),
        ('{"a" 1}', "`1}` where `:` was expected"),
        ('{"s": "a\tb"}', "a control character inside a string"),
        ('{"s": "\\ud800"}', "half a surrogate pair"),
        ('{"s": nul}', "`nul}` where a value was expected"),
        ('{"o": [1]}', "column 'o': `[1]` is no object"),
    ],
)
def test_malformed_lines(driver: Any, tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path / "in.jsonl", '{"a": 1, "s": "x", "o": {"b": [0.5]}}\n' * 3 + line + "\n")
    schema = pa.schema({"a": pa.int64(), "s": pa.string(), "o": pa.struct({"b": pa.list_(pa.float64())})})
    with pytest.raises(DataFormatError) as caught:
        driver.batches(FileSource.json_lines(str(path), schema=schema))
    assert f"{path}: line 4 (byte 114): " in str(caught.value)
    assert reason in str(caught.value)
    rows = table(driver, FileSource.json_lines(str(path), schema=schema, on_error="skip")).to_pylist()
    assert rows == [{"a": 1, "s": "x", "o": {"b": [0.5]}}] * 3


def test_a_large_file_in_ranges_and_compressed(driver: Any, tmp_path: Path) -> None:
    lines = "".join(
        f'{{"id": {n}, "text": "{"x" * (n % 50)}", "in": {{"n": [{n}, {n + 1}]}}}}\n' for n in range(60_000)
    )
    path = written(tmp_path / "in.jsonl", lines)
    assert path.stat().st_size > 3 << 20
    expected = [{"id": n, "text": "x" * (n % 50), "in": {"n": [n, n + 1]}} for n in range(60_000)]
    assert table(driver, FileSource.json_lines(str(path)), 4).to_pylist() == expected
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 1))
    assert table(driver, FileSource.json_lines(str(tmp_path / "in.jsonl.gz")), 4).to_pylist() == expected


def test_files_and_options_that_do_not_go(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="no columns can be told: a line holds '1', which is no object"):
        FileSource.json_lines(str(written(tmp_path / "a.jsonl", "1\n")))
    with pytest.raises(DataFormatError, match="the first line is malformed"):
        FileSource.json_lines(str(written(tmp_path / "b.jsonl", "{\n")))
    good = str(written(tmp_path / "c.jsonl", '{"a": 1}\n'))
    with pytest.raises(ConfigurationError, match="missing_keys is 'null' or 'fail'"):
        FileSource.json_lines(good, missing_keys="maybe")
    with pytest.raises(ConfigurationError, match="keys of a map in JSON are strings"):
        FileSource.json_lines(good, column_types={"a": pa.map_(pa.int64(), pa.int64())})
