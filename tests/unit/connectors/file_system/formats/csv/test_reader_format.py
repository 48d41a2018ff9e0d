from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from oracle.driver import Driver

from shmflink.common import Row, Types
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.datastream.formats.csv import CsvReaderFormat, CsvSchema
from shmflink.errors import ConfigurationError, DataFormatError
from shmflink.table import DataTypes


def rows(driver: Driver, path: Path, schema: CsvSchema) -> list[Row]:
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(path)).build()
    assert source.produced_type == schema.row_type
    found: list[Row] = driver.rows(source)
    return found


def test_rows_of_the_declared_types(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("#comment\nlist|id|name|ok\n1,2|5|a\\|b|true\n||'x|y'|\n")
    schema = (
        CsvSchema.builder()
        .add_number_column("id", Types.INT())
        .add_string_column("name")
        .add_array_column("list", ",", Types.LONG())
        .add_boolean_column("ok")
        .set_column_separator("|")
        .set_escape_char("\\")
        .set_quote_char("'")
        .set_allow_comments()
        .set_use_header()
        .build()
    )
    first, second = rows(driver, path, schema)
    assert first == Row(id=5, name="a|b", list=[1, 2], ok=True)
    assert second == Row(id=None, name="x|y", list=None, ok=None)


def test_columns_by_position_without_the_first_row(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("x,y\n1,a\n2,b\n")
    schema = CsvSchema.builder().add_number_column("n").add_string_column("s").set_skip_first_data_row().build()
    assert rows(driver, path, schema) == [Row(n=1, s="a"), Row(n=2, s="b")]


def test_strict_headers(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("s,n\na,1\n")
    builder = CsvSchema.builder().add_number_column("n").add_string_column("s").set_use_header()
    assert rows(driver, path, builder.build()) == [Row(n=1, s="a")]
    with pytest.raises(DataFormatError, match=r"its header names \['s', 'n'\], not \['n', 's'\]"):
        rows(driver, path, builder.set_strict_headers().build())


def test_elements_that_do_not_fit(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("1;x\n")
    schema = CsvSchema.builder().add_array_column("list", ";", Types.LONG()).build()
    with pytest.raises(DataFormatError, match="column 'list': an element does not fit"):
        rows(driver, path, schema)


def test_a_header_with_other_names_goes_by_position(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("h1,h2\na,1\n")
    builder = CsvSchema.builder().add_string_column("s").add_number_column("n").set_use_header()
    assert rows(driver, path, builder.build()) == [Row(s="a", n=1)]


def test_decimals_are_rounded_to_their_scale(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("1.5,0.125\n-2.5,1e1\n,\n")
    builder = CsvSchema.builder().add_number_column("a", DataTypes.DECIMAL(2, 0))
    schema = builder.add_number_column("b", DataTypes.DECIMAL(5, 2)).build()
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(path)).build()
    assert [tuple(row) for row in driver.rows(source)] == [
        (Decimal(2), Decimal("0.13")),
        (Decimal(-3), Decimal("10.00")),
        (None, None),
    ]
    path.write_text("100,1\n")
    with pytest.raises(DataFormatError, match=r"column 'a': Decimal value does not fit in precision 2"):
        driver.rows(source)


def test_columns_of_any_name_have_no_place() -> None:
    with pytest.raises(ConfigurationError, match="rows cannot hold undeclared columns"):
        CsvSchema.builder().set_any_property_name("rest")
