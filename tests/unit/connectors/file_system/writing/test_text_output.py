from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from shmflink.connectors.file_system.writing.text_output import CsvStyle, CsvWriterFactory, JsonLinesWriterFactory
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError, DataFormatError, TypeMismatchError

ROWS = pa.record_batch(
    {
        "n": pa.array([1, None, -3], pa.int8()),
        "text": ['a,"b"', "", None],
        "x": [0.1, float("nan"), -1e300],
        "flag": [True, None, False],
        "day": [dt.date(2024, 2, 29), None, dt.date(1969, 12, 31)],
        "at": pa.array([0, None, -1], pa.timestamp("us")),
        "instant": pa.array([1_500, None, 0], pa.timestamp("ms", "Europe/Berlin")),
        "price": [Decimal("1.50"), None, Decimal("-0.01")],
        "bytes": [b"ab", None, b""],
    }
)


def written(factory: Any, *batches: pa.RecordBatch) -> bytes:
    file = io.BytesIO()
    writer = factory.create(file, batches[0])
    for batch in batches:
        writer.write(factory.encode(Batch.of_columns(batch)))
    writer.close()
    assert (writer.buffered_bytes, writer.expected_bytes) == (0, 0)
    return file.getvalue()


def test_csv_as_most_readers_want_it() -> None:
    assert written(CsvWriterFactory(), ROWS).decode().split("\n") == [
        "n,text,x,flag,day,at,instant,price,bytes",
        '1,"a,""b""",0.1,true,2024-02-29,1970-01-01 00:00:00,1970-01-01 00:00:01.5Z,1.50,YWI=',
        ',"",NaN,,,,,,',
        '-3,,-1e300,false,1969-12-31,1969-12-31 23:59:59.999999,1970-01-01 00:00:00Z,-0.01,""',
        "",
    ]


def test_dictionaries_of_no_values_hold_nulls() -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    rows = pa.record_batch({"d": pa.nulls(2, kind), "l": pa.array([[None], None], pa.list_(kind)), "n": [1, 2]})
    assert written(CsvWriterFactory(), rows) == b"d,l,n\n,[null],1\n,,2\n"
    assert written(JsonLinesWriterFactory(), rows) == b'{"d":null,"l":[null],"n":1}\n{"d":null,"l":null,"n":2}\n'
    for factory in (CsvWriterFactory(), JsonLinesWriterFactory()):
        factory.check_columns(rows.schema)
        with pytest.raises(TypeMismatchError, match='column "d" of type Dictionary'):
            factory.check_columns(pa.schema({"d": pa.dictionary(pa.int32(), pa.duration("s"))}))


def test_csv_in_another_dialect() -> None:
    dialect = CsvStyle(
        delimiter="\t", header=False, quoting="all", quote="'", null_text="NULL", line_end="\r\n", timestamps="iso"
    )
    rows = pa.record_batch({"a": ["it's", "NULL", None], "t": pa.array([1, 2, 3], pa.timestamp("s")), "n": [1, 2, 3]})
    assert written(CsvWriterFactory(dialect), rows, rows.slice(0, 1)).decode() == (
        "'it''s'\t'1970-01-01T00:00:01'\t'1'\r\n"
        "'NULL'\t'1970-01-01T00:00:02'\t'2'\r\n"
        "NULL\t'1970-01-01T00:00:03'\t'3'\r\n"
        "'it''s'\t'1970-01-01T00:00:01'\t'1'\r\n"
    )


def test_csv_reads_back() -> None:
    rows = pa.record_batch({"a": ["x\ny", "", None, 'q"'], "b": [1, 2, None, 4]})
    table = pa.csv.read_csv(
        io.BytesIO(written(CsvWriterFactory(), rows)),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
    )
    assert table.to_pylist() == rows.to_pylist()


def test_csv_of_one_column_tells_null_from_empty_text() -> None:
    rows = pa.record_batch({"a": ["x", None, ""]})
    assert written(CsvWriterFactory(), rows) == b'a\nx\n\n""\n'
    named = CsvWriterFactory(CsvStyle(null_text="NULL"))
    assert written(named, rows) == b'a\nx\nNULL\n""\n'


def test_csv_without_quotes_refuses_what_needs_them() -> None:
    factory = CsvWriterFactory(CsvStyle(quoting="none"))
    assert written(factory, pa.record_batch({"a": ["x y"], "b": [1]})) == b"a,b\nx y,1\n"
    with pytest.raises(DataFormatError, match=r'row 1 of the batch, column "a": "x,y" cannot be written'):
        written(factory, pa.record_batch({"a": ["x", "x,y"]}))
    with pytest.raises(DataFormatError, match="cannot be written"):
        written(factory, pa.record_batch({"a,b": ["x"]}))


def test_json_lines() -> None:
    first = '{"n":1,"text":"a,\\"b\\"","x":0.1,"flag":true,"day":"2024-02-29","at":"1970-01-01T00:00:00",'
    second = '{"n":null,"text":"","x":null,"flag":null,"day":null,"at":null,"instant":null,"price":null,"bytes":null}'
    third = '{"n":-3,"text":null,"x":-1e300,"flag":false,"day":"1969-12-31","at":"1969-12-31T23:59:59.999999",'
    assert written(JsonLinesWriterFactory(timestamps="iso"), ROWS).decode().split("\n") == [
        first + '"instant":"1970-01-01T00:00:01.5Z","price":1.50,"bytes":"YWI="}',
        second,
        third + '"instant":"1970-01-01T00:00:00Z","price":-0.01,"bytes":""}',
        "",
    ]
    omitted = written(JsonLinesWriterFactory(omit_nulls=True), ROWS.slice(1, 1)).decode()
    assert omitted == '{"text":"","x":null}\n'


def test_nested_json_reads_back() -> None:
    values = [
        {"s": {"list": [1, None], "text": 'a"\\\n\x01é😀'}, "m": [("k", [1.5])], "d": "x", "f": [1, 2], "none": None},
        {"s": None, "m": None, "d": None, "f": None, "none": None},
        {"s": {"list": None, "text": None}, "m": [], "d": "y", "f": [3, None], "none": None},
    ]
    schema = pa.schema(
        [
            ("s", pa.struct([("list", pa.list_(pa.int64())), ("text", pa.string_view())])),
            ("m", pa.map_(pa.string(), pa.large_list(pa.float32()))),
            ("d", pa.dictionary(pa.int8(), pa.string())),
            ("f", pa.list_(pa.uint16(), 2)),
            ("none", pa.null()),
        ]
    )
    rows = pa.RecordBatch.from_pylist(values, schema)
    lines = written(JsonLinesWriterFactory(), rows, rows.slice(1)).decode().splitlines()
    expected = [{**row, "m": None if row["m"] is None else dict(row["m"])} for row in values]
    assert [json.loads(line) for line in lines] == [*expected, *expected[1:]]
    assert json.loads(written(JsonLinesWriterFactory(omit_nulls=True), rows).splitlines()[2])["s"] == {}


def test_nested_values_in_csv_are_json() -> None:
    rows = pa.record_batch({"a": [[1, 2], None], "b": [{"k": "v"}, {"k": None}]})
    lines = written(CsvWriterFactory(), rows).decode().splitlines()
    assert lines[1:] == ['"[1,2]","{""k"":""v""}"', ',"{""k"":null}"']


def test_maps_with_other_keys_than_text() -> None:
    days = pa.map_(pa.date32(), pa.int64())
    rows = pa.RecordBatch.from_arrays([pa.array([[(dt.date(2024, 1, 1), 1)]], days)], ["m"])
    assert written(JsonLinesWriterFactory(), rows) == b'{"m":{"2024-01-01":1}}\n'


def test_times() -> None:
    rows = pa.record_batch(
        {
            "s": pa.array([1], pa.time32("s")),
            "ms": pa.array([1_500], pa.time32("ms")),
            "ns": pa.array([86_399_999_999_999], pa.time64("ns")),
            "d": pa.array([86_400_000], pa.date64()),
            "h": pa.array([1.5], pa.float16()),
        }
    )
    assert written(CsvWriterFactory(), rows).splitlines()[1] == b"00:00:01,00:00:01.5,23:59:59.999999999,1970-01-02,1.5"


def test_a_type_without_text() -> None:
    rows = pa.record_batch({"took": pa.array([1], pa.duration("s"))})
    for factory in (CsvWriterFactory(), JsonLinesWriterFactory()):
        with pytest.raises(TypeMismatchError, match=r'column "took" of type .* has no text form; cast it'):
            written(factory, rows)


def test_a_schema_casts() -> None:
    factory = JsonLinesWriterFactory(pa.schema([("b", pa.string()), ("a", pa.float64())]))
    assert factory.encode(Batch.of_columns(pa.record_batch({"a": [1], "b": [2]}))).schema.names == ["b", "a"]


def test_compressed_text() -> None:
    factory = CsvWriterFactory(compression="gzip")
    assert factory.extension == ".csv.gz"
    rows = pa.record_batch({"a": list(range(100_000))})
    text = gzip.decompress(written(factory, rows, rows)).split()
    assert len(text) == 200_001
    assert text[100_000:100_002] == [b"99999", b"0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "ab"}, "CSV delimiter 'ab': must be one ASCII character"),
        ({"delimiter": "1"}, "CSV delimiter '1'"),
        ({"quote": ","}, "cannot be both delimiter and quote"),
        ({"null_text": 'a"'}, "it must not need quotes"),
        ({"quoting": "some"}, "CSV quoting 'some': one of minimal, all, none"),
        ({"timestamps": "rfc"}, "CSV timestamps 'rfc': one of sql, iso"),
        ({"line_end": "\r"}, "CSV line_end"),
    ],
)
def test_what_csv_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CsvStyle(**options)


def test_what_json_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="JSON timestamps 'epoch'"):
        JsonLinesWriterFactory(timestamps="epoch")  # type: ignore[arg-type]  on purpose
