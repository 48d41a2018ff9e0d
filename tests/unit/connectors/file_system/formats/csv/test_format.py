from __future__ import annotations

import bz2
import datetime as dt
import gzip
import lzma
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.reading import record_cursor
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.errors import ConfigurationError, DataFormatError, JobGraphError


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table(driver: Driver, source: FileSource, parallelism: int = 1) -> pa.Table:
    batches = [batch.columns() for batch in driver.batches(source, parallelism)]
    return pa.Table.from_batches(batches, source.schema)


def test_types_are_inferred_and_values_read(driver: Driver, tmp_path: Path) -> None:
    path = written(
        tmp_path / "in.csv",
        "id,price,name,ok,day,at,zoned,nothing\n"
        '1,1.5,"a, ""b""",true,2024-02-29,2024-02-29 12:00:00.25,2024-02-29T12:00:00+01:00,\n'
        "\n"
        "-2,,,false,,,,\n"
        '3,1e3,"",,1970-01-01,1970-01-01T00:00,1970-01-01 00:00:00Z,\n',
    )
    source = FileSource.csv(str(path))
    utc = dt.UTC
    expected = pa.table(
        {
            "id": [1, -2, 3],
            "price": [1.5, None, 1000.0],
            "name": ['a, "b"', None, ""],
            "ok": [True, False, None],
            "day": pa.array([dt.date(2024, 2, 29), None, dt.date(1970, 1, 1)], pa.date32()),
            "at": pa.array(
                [dt.datetime(2024, 2, 29, 12, 0, 0, 250_000), None, dt.datetime(1970, 1, 1)], pa.timestamp("us")
            ),
            "zoned": pa.array(
                [dt.datetime(2024, 2, 29, 11, tzinfo=utc), None, dt.datetime(1970, 1, 1, tzinfo=utc)],
                pa.timestamp("us", "UTC"),
            ),
            "nothing": pa.array([None] * 3, pa.string()),
        }
    )
    assert table(driver, source).equals(expected)


def test_declared_types(driver: Driver, tmp_path: Path) -> None:
    schema = pa.schema(
        {
            "i8": pa.int8(),
            "u64": pa.uint64(),
            "f32": pa.float32(),
            "dec": pa.decimal128(10, 2),
            "time": pa.time64("us"),
            "ns": pa.timestamp("ns"),
            "big": pa.large_string(),
            "raw": pa.binary(),
            "flag": pa.bool_(),
        }
    )
    path = written(
        tmp_path / "in.csv",
        b"-128,18446744073709551615,0.1,-12.3,23:59:59.5,2024-01-01 00:00:00.123456789,x,//4=,1\n",
    )
    read = table(driver, FileSource.csv(str(path), schema=schema, header=False))
    nanos = read.column("ns").cast(pa.int64()).to_pylist()  # as a Python value it would need pandas
    (row,) = read.drop_columns("ns").to_pylist()
    assert row["i8"] == -128
    assert row["u64"] == 2**64 - 1
    assert row["f32"] == pytest.approx(0.1)
    assert row["dec"] == Decimal("-12.30")
    assert row["time"] == dt.time(23, 59, 59, 500_000)
    assert nanos[0] % 1_000_000_000 == 123456789
    assert (row["big"], row["raw"], row["flag"]) == ("x", b"\xff\xfe", True)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a;b\n1,5;x\n", {"delimiter": ";", "decimal_point": ","}, [{"a": 1.5, "b": "x"}]),
        ("'x';'y'\n'a;''b';1\n", {"delimiter": ";", "quote": "'"}, [{"x": "a;'b", "y": 1}]),
        ('a\tb\n"x\ty\n', {"delimiter": "\t", "quote": None}, [{"a": '"x', "b": "y"}]),
        ('a,b\nx\\,y,"q\\"z"\n', {"escape": "\\"}, [{"a": "x,y", "b": 'q"z'}]),
        ("# hello\n\na,b\n#x\n1,2\n#end", {"comment": "#"}, [{"a": 1, "b": 2}]),
        ("junk\nmore\na,b\n1,2", {"skip_rows": 2}, [{"a": 1, "b": 2}]),
        ("1,2\n", {"header": False}, [{"f0": 1, "f1": 2}]),
        ("1,2\n", {"header": False, "column_names": ["x", "y"]}, [{"x": 1, "y": 2}]),
        ("a,b\n1,2\n", {"column_names": ["x", "y"]}, [{"x": 1, "y": 2}]),
        ("a,b\nNA,x\n1,NA\n", {"null_values": ["NA"]}, [{"a": None, "b": "x"}, {"a": 1, "b": None}]),
        ('a,b\n,"NA"\n', {"null_values": ["NA"]}, [{"a": "", "b": "NA"}]),
        ("a\nyes\nno\n", {"true_values": ["yes"], "false_values": ["no"]}, [{"a": True}, {"a": False}]),
        (
            "a\n14.11.2023 22:13\n",
            {"timestamp_formats": ["%d.%m.%Y %H:%M"]},
            [{"a": dt.datetime(2023, 11, 14, 22, 13)}],
        ),
        ("a,b\n01,x\n", {"column_types": {"a": pa.string()}}, [{"a": "01", "b": "x"}]),
        ("\ufeffa,b\r\n1,2\r\n", {}, [{"a": 1, "b": 2}]),
        ("a\n1\n\n3\n", {}, [{"a": 1}, {"a": None}, {"a": 3}]),
        ("a,b\r1,2\r3,4", {}, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        ('a,b\n"x\ny",1\n', {}, [{"a": "x\ny", "b": 1}]),
        ("a,b\n 1 ,2\n", {}, [{"a": 1, "b": 2}]),
    ],
)
def test_dialects(
    driver: Driver, tmp_path: Path, text: str, options: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    path = written(tmp_path / "in.csv", text)
    assert table(driver, FileSource.csv(str(path), **options)).to_pylist() == expected


def test_other_charsets_and_compressions(driver: Driver, tmp_path: Path) -> None:
    text = "name,n\n" + "".join(f"Größe {number},{number}\n" for number in range(20_000))
    expected = [{"name": f"Größe {number}", "n": number} for number in range(20_000)]
    for charset in ("utf-16", "cp1252"):
        path = written(tmp_path / f"{charset}.csv", text.encode(charset))
        assert table(driver, FileSource.csv(str(path), encoding=charset), 2).to_pylist() == expected
    for suffix, compress in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        path = written(tmp_path / f"in.csv{suffix}", compress(text.encode()))
        assert table(driver, FileSource.csv(str(path)), 2).to_pylist() == expected
    for suffix in ("zst", "lz4"):
        path = tmp_path / f"in.csv.{suffix}"
        with pa.output_stream(str(path), compression={"zst": "zstd", "lz4": "lz4"}[suffix]) as stream:
            stream.write(text.encode())
        assert table(driver, FileSource.csv(str(path)), 2).to_pylist() == expected


def test_the_case_of_a_suffix_says_nothing(driver: Driver, tmp_path: Path) -> None:
    path = written(tmp_path / "IN.CSV.GZ", gzip.compress(b"a\n" + b"1\n" * 2_000_000, 1))
    source = FileSource.csv(str(path))
    assert len(source.create_enumerator(4).snapshot()) == 1
    assert table(driver, source, 4).num_rows == 2_000_000


def zipped(path: Path, **members: str) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return str(path)


def test_a_zip_archive_of_one_file(driver: Driver, tmp_path: Path) -> None:
    members = {"folder/": "", "folder/in.csv": "a\n1\n2\n", "__MACOSX/folder/._in.csv": "x"}
    path = zipped(tmp_path / "in.zip", **members)
    assert table(driver, FileSource.csv(path), 2).to_pylist() == [{"a": 1}, {"a": 2}]


def test_a_zip_archive_of_several_files_or_none_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        DataFormatError, match=r"two\.zip: the zip archive contains 2 files \(a\.csv, b\.csv\).*extract"
    ):
        FileSource.csv(zipped(tmp_path / "two.zip", **{"a.csv": "a\n1\n", "b.csv": "a\n2\n"}))
    with pytest.raises(DataFormatError, match=r"none\.zip: the zip archive contains 0 files, but"):
        FileSource.csv(zipped(tmp_path / "none.zip"))
    with pytest.raises(DataFormatError, match=r"no\.zip: not a readable zip archive"):
        FileSource.csv(str(written(tmp_path / "no.zip", b"a,b\n")))


def test_a_large_file_is_read_in_ranges_with_the_columns_wanted(driver: Driver, tmp_path: Path) -> None:
    rows = 200_000
    expected = pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "text": [f"line {n}\nof, {n}" if n % 7 == 0 else f"t{n}" for n in range(rows)],
            "half": [n / 2 for n in range(rows)],
        }
    )
    path = tmp_path / "in.csv"
    pc.write_csv(expected, path)
    assert path.stat().st_size > 3 << 20
    assert table(driver, FileSource.csv(str(path)), 4).combine_chunks().equals(expected)
    some = FileSource.csv(str(path)).with_columns(["half"])
    assert some is not None
    assert table(driver, some, 3).combine_chunks().equals(expected.select(["half"]))
    none = FileSource.csv(str(path)).with_columns([])
    assert none is not None
    assert sum(batch.num_rows for batch in driver.batches(none, 2)) == rows


def test_files_with_other_columns(driver: Driver, tmp_path: Path) -> None:
    written(tmp_path / "1.csv", "a,b\n1,x\n")
    written(tmp_path / "2.csv", "c,a\n2.5,2.5\n")
    assert table(driver, FileSource.csv(str(tmp_path))).to_pylist() == [
        {"a": 1.0, "b": "x", "c": None},
        {"a": 2.5, "b": None, "c": 2.5},
    ]


def test_a_record_longer_than_a_block(driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 1000)
    long = "x" * 300_000 + "\n" + "y" * 300_000
    path = written(tmp_path / "in.csv", f'a,b\n1,"{long}"\n2,z\n')
    assert table(driver, FileSource.csv(str(path))).to_pylist() == [{"a": 1, "b": long}, {"a": 2, "b": "z"}]


def test_a_broken_compressed_file_names_itself_and_the_place(driver: Driver, tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{n},{n * n}\n" for n in range(300_000))
    path = written(tmp_path / "in.csv.gz", gzip.compress(text.encode())[:-1000])
    with pytest.raises(DataFormatError, match=r"in\.csv\.gz: cannot be decompressed after byte \d+ of its text"):
        driver.batches(FileSource.csv(str(path)))


def test_quotes_that_hide_where_records_start_are_refused(driver: Driver, tmp_path: Path) -> None:
    # Quoted text that is CSV itself, longer than what is looked at, in a file that begins without quotes.
    path = written(tmp_path / "in.csv", "a,b\n" + "1,y\n" * 400_000 + '1,"' + "2,x\n" * 800_000 + '"\n')
    with pytest.raises(DataFormatError, match="splits_files=False"):
        driver.batches(FileSource.csv(str(path)), 3)
    *_, row = table(driver, FileSource.csv(str(path), splits_files=False), 3).to_pylist()
    assert row["b"] == "2,x\n" * 800_000


@pytest.mark.parametrize("quoted", ["x,\n", "2,x\n", "x\n", "\n", '""\n,\n'])
def test_a_quoted_text_of_megabytes_is_one_field(driver: Driver, tmp_path: Path, quoted: str) -> None:
    path = written(tmp_path / "in.csv", 'a,b\n"' + quoted * 1_000_000 + '",1\ny,2\n')
    read = table(driver, FileSource.csv(str(path)), 3).to_pylist()
    assert read == [{"a": quoted.replace('""', '"') * 1_000_000, "b": 1}, {"a": "y", "b": 2}]


def test_a_first_record_and_a_header_of_megabytes(driver: Driver, tmp_path: Path) -> None:
    long = "x" * 3_000_000
    path = written(tmp_path / "in.csv", f"a,b\n{long},1\ny,2\n")
    assert table(driver, FileSource.csv(str(path)), 2).to_pylist() == [{"a": long, "b": 1}, {"a": "y", "b": 2}]
    wide = written(tmp_path / "wide.csv", ",".join(f"column{i:08d}" for i in range(80_000)) + "\n")
    assert len(FileSource.csv(str(wide)).schema) == 80_000


def test_whole_numbers_have_a_type_that_holds_them(driver: Driver, tmp_path: Path) -> None:
    text = "u,d,s,f\n12345678901234567890,-12345678901234567890,1" + "0" * 40 + ",12345678901234567890\n"
    path = written(tmp_path / "in.csv", text + "9007199254740993,9007199254740993,9007199254740993,0.5\n")
    read = table(driver, FileSource.csv(str(path)))
    assert read.schema.types == [pa.uint64(), pa.decimal128(38, 0), pa.string(), pa.float64()]
    assert read.column("u").to_pylist() == [12345678901234567890, 9007199254740993]
    assert read.column("d").to_pylist() == [Decimal(-12345678901234567890), Decimal(9007199254740993)]
    assert read.column("s").to_pylist() == ["1" + "0" * 40, "9007199254740993"]


def test_ids_that_grow_from_file_to_file_stay_exact(driver: Driver, tmp_path: Path) -> None:
    written(tmp_path / "1.csv", "id\n-1\n")
    written(tmp_path / "2.csv", "id\n18446744073709551615\n")
    read = table(driver, FileSource.csv(str(tmp_path)))
    assert read.column("id").to_pylist() == [Decimal(-1), Decimal(18446744073709551615)]


def test_a_whole_number_may_be_written_as_a_double_has_it(driver: Driver, tmp_path: Path) -> None:
    path = written(tmp_path / "in.csv", "id,u,small\n1.0,2e3,3.\n-5.00,18446744073709551615.0,1.27e2\n")
    schema = pa.schema({"id": pa.int64(), "u": pa.uint64(), "small": pa.int8()})
    read = table(driver, FileSource.csv(str(path), schema=schema)).to_pylist()
    assert read == [{"id": 1, "u": 2000, "small": 3}, {"id": -5, "u": 2**64 - 1, "small": 127}]
    for wrong in ("1.5", "1e-1", "300.0"):
        path = written(tmp_path / "in.csv", f"small\n{wrong}\n")
        with pytest.raises(DataFormatError, match=f"`{wrong}` is not a valid int8"):
            table(driver, FileSource.csv(str(path), schema=pa.schema({"small": pa.int8()})))
    assert FileSource.csv(str(written(tmp_path / "f.csv", "a\n1.0\n2.0\n"))).schema.types == [pa.float64()]


@pytest.mark.parametrize(
    ("late", "remedy"),
    [("2.5", "pa.float64()"), ("12345678901234567890", "pa.decimal128(38, 0)"), ("x", "pa.string()")],
)
def test_a_late_value_of_another_type_says_what_to_declare(
    driver: Driver, tmp_path: Path, late: str, remedy: str
) -> None:
    path = written(tmp_path / "in.csv", "a\n" + "1\n" * 50 + late + "\n")
    with pytest.raises(DataFormatError) as caught:
        table(driver, FileSource.csv(str(path), infer_rows=50))
    assert (
        f"line 52 (byte 102): column 'a': `{late}` is not a valid int64; declare column_types={{'a': {remedy}}}"
        in str(caught.value)
    )


def test_text_without_a_zone_is_local_time_of_the_columns_zone(driver: Driver, tmp_path: Path) -> None:
    path = written(
        tmp_path / "in.csv",
        "t\n2024-07-01 12:00:00\n2024-07-01 12:00:00Z\n2024-07-01T12:00:00+05:00\n2024-10-27 02:30:00\n"
        "2024-03-31 02:30:00\n",
    )
    utc = ["2024-07-01 10:00", "2024-07-01 12:00", "2024-07-01 07:00", "2024-10-27 00:30", "2024-03-31 01:30"]
    read = table(driver, FileSource.csv(str(path), schema={"t": pa.timestamp("us", "Europe/Berlin")}))
    moments = [f"{moment:%Y-%m-%d %H:%M}" for moment in read.column("t").cast(pa.timestamp("us", "UTC")).to_pylist()]
    assert moments == utc
    with pytest.raises(ConfigurationError, match="there is no time zone `Europe/Nowhere`"):
        FileSource.csv(str(path), schema={"t": pa.timestamp("us", "Europe/Nowhere")})


def test_bytes_are_base64(driver: Driver, tmp_path: Path) -> None:
    path = written(tmp_path / "in.csv", 'b\n/wA=\n_wA\n""\n\n"/w=="\n')
    read = table(driver, FileSource.csv(str(path), schema={"b": pa.binary()})).column("b").to_pylist()
    assert read == [b"\xff\x00", b"\xff\x00", b"", None, b"\xff"]
    path = written(tmp_path / "in.csv", "b\nno base64!\n")
    with pytest.raises(DataFormatError, match="column 'b': `no base64!` is not base64, the form of bytes in CSV"):
        table(driver, FileSource.csv(str(path), schema={"b": pa.large_binary()}))


def test_blank_lines_tell_no_columns_and_hold_no_rows(driver: Driver, tmp_path: Path) -> None:
    written(tmp_path / "0.csv", "\n\n  \n")
    with pytest.raises(
        JobGraphError, match=r"0\.csv: the file is blank, or has no columns: cannot infer the columns; give schema="
    ):
        FileSource.csv(str(tmp_path))
    schema = pa.schema({"a": pa.int64(), "b": pa.int64()})
    assert table(driver, FileSource.csv(str(tmp_path), schema=schema)).num_rows == 0
    written(tmp_path / "1.csv", "a,b\n1,2\n")
    assert table(driver, FileSource.csv(str(tmp_path))).to_pylist() == [{"a": 1, "b": 2}]
    assert table(driver, FileSource.csv(str(tmp_path), schema_merge="first")).to_pylist() == [{"a": 1, "b": 2}]


def test_empty_files_alone_tell_no_columns(tmp_path: Path) -> None:
    written(tmp_path / "0.csv", "")
    with pytest.raises(JobGraphError, match=r"/0\.csv: the file is empty: cannot infer the columns; give schema="):
        FileSource.csv(tmp_path)
    written(tmp_path / "1.csv", "")
    with pytest.raises(JobGraphError, match=r"/0\.csv: the file is empty, like 1 more: cannot infer the columns"):
        FileSource.csv(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "ab"}, "CSV delimiter: 'ab' is not one ASCII character"),
        ({"delimiter": '"'}, "cannot be both delimiter and quote"),
        ({"encoding": "klingon"}, "unknown charset"),
        ({"timestamp_formats": ["%Q"]}, "timestamp format `%Q`: `%Q` is not understood"),
        ({"schema": pa.schema({"a": pa.list_(pa.int64())})}, "column `a`: CSV has no columns of type List"),
        ({"on_error": "ignore"}, "on_error: 'ignore' is not one of fail, skip, side_output, folder"),
        ({"on_error": "folder"}, "must be given together"),
        ({"column_types": {"z": pa.int64()}}, "there is no column 'z'"),
        ({"decimal_point": ";"}, "neither '.' nor ','"),
    ],
)
def test_options_that_do_not_go(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = written(tmp_path / "in.csv", "a,b\n1,2\n")
    with pytest.raises(ConfigurationError) as caught:
        FileSource.csv(str(path), **options)
    assert message in str(caught.value)


def test_files_that_are_no_csv(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="no column 'z'; its columns are"):
        FileSource.csv(str(written(tmp_path / "a.csv", "a,b\n1,2\n")), schema=pa.schema({"z": pa.int64()}))
    with pytest.raises(DataFormatError, match="two columns are named 'a'"):
        FileSource.csv(str(written(tmp_path / "b.csv", "a,a\n1,2\n")))
