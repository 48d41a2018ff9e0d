from __future__ import annotations

import datetime as dt
import io
import pickle
from decimal import Decimal

import pytest

from shmflink.connectors.file_system.formats.csv.bulk_writers import CsvBulkWriters
from shmflink.connectors.file_system.formats.csv.schema import CsvSchema, CsvSchemaBuilder
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.data_types import DataTypes
from shmflink.core.types.typeinfo import Types
from shmflink.errors import ConfigurationError, DataFormatError


def orders() -> CsvSchemaBuilder:
    builder = CsvSchema.builder().add_number_column("id", Types.INT()).add_string_column("name")
    return builder.add_boolean_column("paid").add_array_column("tags", "|", Types.INT())


def written(schema: CsvSchema, *rows: Row) -> str:
    factory = pickle.loads(pickle.dumps(CsvBulkWriters.for_schema(schema)))
    file = io.BytesIO()
    encoded = factory.encode(Batch.of_rows(list(rows), schema.row_type))
    writer = factory.create(file, encoded)
    writer.write(encoded)
    writer.close()
    return file.getvalue().decode()


def test_rows_as_flink_writes_them() -> None:
    rows = [
        Row(id=1, name="a,b", paid=True, tags=[1, None, 3]),
        Row(id=None, name=None, paid=False, tags=None),
        Row(id=3, name="", paid=None, tags=[]),
    ]
    assert written(orders().build(), *rows) == '1,"a,b",true,1||3\n,,false,\n3,"",,""\n'


def test_every_character_can_be_another() -> None:
    builder = orders().set_column_separator(";").set_quote_char("'").set_null_value("n/a").set_line_separator("\r\n")
    schema = builder.set_use_header().remove_array_element_separator(3).build()
    assert written(schema, Row(id=1, name="it's;", paid=None, tags=[1, 2])) == (
        "id;name;paid;tags\r\n1;'it''s;';n/a;'12'\r\n"
    )
    with pytest.raises(DataFormatError, match='cannot be written with quoting="none"'):
        written(orders().disable_quote_char().build(), Row(id=1, name="a,b", paid=None, tags=None))


def test_columns_are_collected() -> None:
    schema = orders().build()
    assert (len(schema), schema.size(), len(orders())) == (4, 4, 4)
    assert schema.arrow_schema.names == ["id", "name", "paid", "tags"]
    copied = CsvSchema.builder().add_columns_from(schema).set_array_element_separator("/").build()
    assert [column.element_separator for column in copied.columns] == [None, None, None, "/"]
    assert orders().disable_array_element_separator().build().columns[3].element_separator == ""
    assert orders().clear_columns().size() == 0
    options = orders().set_allow_comments().set_skip_first_data_row().set_strict_headers().build()
    assert (options.allow_comments, options.skip_first_data_row, options.strict_headers) == (True, True, True)


def test_what_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the column 'id' is declared twice"):
        orders().add_string_column("id").build()
    for method in ("set_column_separator", "set_quote_char", "set_escape_char"):
        with pytest.raises(ValueError, match="must be a single char"):
            getattr(orders(), method)("ab")


@pytest.mark.parametrize(
    ("separator", "text", "cell"),
    [
        (",", "word", "word"),
        (",", "two words", '"two words"'),
        (",", "a-b.c", "a-b.c"),
        (",", 'say "hi"', '"say ""hi"""'),
        ("|", "word", '"word"'),
        (",", "x" * 24, "x" * 24),
        (",", "x" * 25, '"' + "x" * 25 + '"'),
    ],
)
def test_text_is_quoted_as_jackson_does(separator: str, text: str, cell: str) -> None:
    schema = CsvSchema.builder().add_string_column("s").set_column_separator(separator).build()
    assert written(schema, Row(s=text)) == f"{cell}\n"


def test_an_escape_character_is_doubled_inside_quotes() -> None:
    schema = CsvSchema.builder().add_string_column("s").set_escape_char("\\").build()
    assert written(schema, Row(s="a\\b"), Row(s='"')) == '"a\\\\b"\n""""\n'


def test_numbers_and_times_are_javas_text() -> None:
    builder = CsvSchema.builder().add_number_column("f", DataTypes.FLOAT()).add_number_column("d", DataTypes.DOUBLE())
    builder.add_number_column("dec", DataTypes.DECIMAL(4, 1))
    schema = builder.add_number_column("ts", DataTypes.TIMESTAMP(3)).build()
    rows = [
        Row(f=3e38, d=2e-308, dec=Decimal("1.25"), ts=dt.datetime(2020, 1, 2)),
        Row(f=1.5, d=100.0, dec=Decimal(-7), ts=None),
        Row(f=None, d=float("nan"), dec=None, ts=None),
    ]
    assert written(schema, *rows) == ('3.0E38,2.0E-308,1.3,"2020-01-02 00:00:00"\n1.5,100.0,-7.0,\n,NaN,,\n')


def test_a_slice_of_lists() -> None:
    schema = CsvSchema.builder().add_array_column("a", "+", Types.INT()).add_string_column("b").build()
    rows = [Row(a=[1], b="x"), Row(a=None, b="y"), Row(a=[2, 3], b="z")]
    factory = CsvBulkWriters.for_schema(schema)
    encoded = factory.encode(Batch.of_rows(rows, schema.row_type)).slice(1)
    file = io.BytesIO()
    factory.create(file, encoded).write(encoded)
    assert file.getvalue() == b',y\n"2+3",z\n'
