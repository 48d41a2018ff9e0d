from __future__ import annotations

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.errors import ConfigurationError, DataFormatError


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def table(driver: Driver, source: FileSource, parallelism: int = 1) -> pa.Table:
    batches = [batch.columns() for batch in driver.batches(source, parallelism)]
    return pa.Table.from_batches(batches, source.schema)


def test_types_are_inferred_nested_ones_too(driver: Driver, tmp_path: Path) -> None:
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


def test_declared_types(driver: Driver, tmp_path: Path) -> None:
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


def test_keys_in_any_order_and_twice(driver: Driver, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", '{"a":1,"b":2}\n{"b":3,"a":4}\n{"b":5}\n{"x":0,"a":6,"a":7}\n{"a":8,"b":9}\n')
    source = FileSource.json_lines(str(path), schema=pa.schema({"a": pa.int64(), "b": pa.int64()}))
    found = [(row["a"], row["b"]) for row in table(driver, source).to_pylist()]
    assert found == [(1, 2), (4, 3), (None, 5), (7, None), (8, 9)]


def test_missing_and_extra_keys(driver: Driver, tmp_path: Path) -> None:
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
        ('{"a": 1.5}', "column 'a': `1.5` is not a valid int64"),
        ('{"a": 99999999999999999999}', "is not a valid int64"),
        ('{"o": {"b": ["x"]}}', "column 'o': in `o.b`: `\"x\"` is not a valid double"),
        ('{"a" 1}', "`1}` where `:` was expected"),
        ('{"s": "a\tb"}', "a control character inside a string"),
        ('{"s": "\\ud800"}', "half a surrogate pair"),
        ('{"s": nul}', "`nul}` where a value was expected"),
        ('{"o": [1]}', "column 'o': `[1]` is not a valid object"),
    ],
)
def test_malformed_lines(driver: Driver, tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path / "in.jsonl", '{"a": 1, "s": "x", "o": {"b": [0.5]}}\n' * 3 + line + "\n")
    schema = pa.schema({"a": pa.int64(), "s": pa.string(), "o": pa.struct({"b": pa.list_(pa.float64())})})
    with pytest.raises(DataFormatError) as caught:
        driver.batches(FileSource.json_lines(str(path), schema=schema))
    assert f"{path}: line 4 (byte 114): " in str(caught.value)
    assert reason in str(caught.value)
    rows = table(driver, FileSource.json_lines(str(path), schema=schema, on_error="skip")).to_pylist()
    assert rows == [{"a": 1, "s": "x", "o": {"b": [0.5]}}] * 3


def test_a_large_file_in_ranges_and_compressed(driver: Driver, tmp_path: Path) -> None:
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
    with pytest.raises(DataFormatError, match="cannot infer the columns: a line holds '1', which is not an object"):
        FileSource.json_lines(str(written(tmp_path / "a.jsonl", "1\n")))
    with pytest.raises(DataFormatError, match="the first line is malformed"):
        FileSource.json_lines(str(written(tmp_path / "b.jsonl", "{\n")))
    good = str(written(tmp_path / "c.jsonl", '{"a": 1}\n'))
    with pytest.raises(ConfigurationError, match="missing_keys must be 'null' or 'fail'"):
        FileSource.json_lines(good, missing_keys="maybe")
    with pytest.raises(ConfigurationError, match="keys of a map in JSON are strings"):
        FileSource.json_lines(good, column_types={"a": pa.map_(pa.int64(), pa.int64())})


def folder_of(path: Path, *texts: str) -> str:
    path.mkdir()
    for number, text in enumerate(texts):
        written(path / f"{number}.jsonl", text)
    return str(path)


@pytest.mark.parametrize(
    ("files", "values"),
    [
        (['{"o":{"x":1}}\n', '{"o":{"x":2,"y":"q"}}\n'], [{"x": 1, "y": None}, {"x": 2, "y": "q"}]),
        (['{"o":{"x":null}}\n', '{"o":{"x":5}}\n'], [{"x": None}, {"x": 5}]),
        (['{"o":{"x":1}}\n', '{"o":{"x":1.5}}\n'], [{"x": 1.0}, {"x": 1.5}]),
        (['{"o":{}}\n', '{"o":{"x":5}}\n'], [{"x": None}, {"x": 5}]),
        (['{"o":[]}\n', '{"o":[1]}\n', '{"o":null}\n'], [[], [1], None]),
        (['{"o":[{"a":null}]}\n', '{"o":[{"b":[]}]}\n', '{"o":[{"b":[7]}]}\n'], None),
    ],
)
def test_objects_and_arrays_may_differ_from_file_to_file(
    driver: Driver, tmp_path: Path, files: list[str], values: list[Any] | None
) -> None:
    read = table(driver, FileSource.json_lines(folder_of(tmp_path / "d", *files))).column("o").to_pylist()
    together = table(driver, FileSource.json_lines(str(written(tmp_path / "one.jsonl", "".join(files)))))
    assert read == (together.column("o").to_pylist() if values is None else values)


def test_whole_numbers_of_any_size_stay_exact(driver: Driver, tmp_path: Path) -> None:
    path = written(
        tmp_path / "in.jsonl",
        '{"u":12345678901234567890,"d":-1,"s":1' + "0" * 40 + ',"l":[1,9223372036854775808]}\n'
        '{"u":9007199254740993,"d":12345678901234567890,"s":1,"l":[]}\n',
    )
    read = table(driver, FileSource.json_lines(str(path)))
    assert read.schema.types == [pa.uint64(), pa.decimal128(20, 0), pa.string(), pa.list_(pa.uint64())]
    assert [{name: str(value) for name, value in row.items()} for row in read.to_pylist()] == [
        {"u": "12345678901234567890", "d": "-1", "s": "1" + "0" * 40, "l": "[1, 9223372036854775808]"},
        {"u": "9007199254740993", "d": "12345678901234567890", "s": "1", "l": "[]"},
    ]


def test_a_key_that_appears_late_is_an_error_where_keys_were_inferred(driver: Driver, tmp_path: Path) -> None:
    path = str(written(tmp_path / "in.jsonl", '{"a":1,"o":{"x":1}}\n' * 20 + '{"a":2,"late":3}\n'))
    with pytest.raises(DataFormatError) as caught:
        table(driver, FileSource.json_lines(path, infer_rows=20))
    assert f"{path}: line 21 (byte 400): the key `late` is not in the schema" in str(caught.value)
    assert "declare column_types={'late': ...}" in str(caught.value)
    assert "extra_keys='ignore'" in str(caught.value)
    assert "inferred from the first 20 rows" in str(caught.value)
    ignored = FileSource.json_lines(path, infer_rows=20, extra_keys="ignore")
    assert table(driver, ignored).num_rows == 21
    declared = FileSource.json_lines(path, schema={"a": pa.int64()})
    assert table(driver, declared).column("a").to_pylist()[-1] == 2
    named = FileSource.json_lines(path, infer_rows=20, column_types={"late": pa.int64()})
    assert table(driver, named).column("late").to_pylist()[-1] == 3
    chosen = FileSource.json_lines(path, infer_rows=20, columns=["a"])
    assert table(driver, chosen).num_rows == 21
    pruned = FileSource.json_lines(path, infer_rows=20).with_columns(["a"])
    assert pruned is not None
    with pytest.raises(DataFormatError, match="the key `late`"):
        table(driver, pruned)


def test_an_inner_key_that_appears_late_is_an_error_too(driver: Driver, tmp_path: Path) -> None:
    path = str(written(tmp_path / "in.jsonl", '{"o":{"x":1}}\n' * 20 + '{"o":{"x":1,"z":2}}\n'))
    with pytest.raises(DataFormatError, match=r"line 21 .*column 'o': the key `z` is not in the schema; declare"):
        table(driver, FileSource.json_lines(path, infer_rows=20))


def test_a_first_line_of_megabytes(driver: Driver, tmp_path: Path) -> None:
    long = "x" * 3_000_000
    path = written(tmp_path / "in.jsonl", f'{{"a":"{long}","b":1}}\n{{"a":"y","b":2}}\n')
    expected = [{"a": long, "b": 1}, {"a": "y", "b": 2}]
    assert table(driver, FileSource.json_lines(str(path)), 2).to_pylist() == expected


def test_text_without_a_zone_is_local_time_of_the_columns_zone(driver: Driver, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", '{"t":"2024-07-01T12:00:00"}\n{"t":"2024-07-01T12:00:00Z"}\n')
    read = table(driver, FileSource.json_lines(str(path), schema={"t": pa.timestamp("us", "Europe/Berlin")}))
    moments = read.column("t").cast(pa.timestamp("us", "UTC")).to_pylist()
    assert [moment.hour for moment in moments] == [10, 12]


def test_a_whole_number_may_be_written_as_a_double_has_it(driver: Driver, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", '{"id":1.0}\n{"id":null}\n{"id":2e3}\n')
    assert table(driver, FileSource.json_lines(str(path), schema={"id": pa.int64()})).column("id").to_pylist() == [
        1,
        None,
        2000,
    ]


def test_blank_lines_alone_hold_no_rows(driver: Driver, tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", "\n\n", '{"a":1}\n')
    assert table(driver, FileSource.json_lines(path)).to_pylist() == [{"a": 1}]
