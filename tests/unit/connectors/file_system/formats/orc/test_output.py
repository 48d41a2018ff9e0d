"""ORC files out: the declared types, as other readers see them."""

from __future__ import annotations

import datetime as dt
import io
import pickle
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import orc

from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.datastream.formats.orc import OrcBulkWriters
from shmflink.errors import ConfigurationError, TypeMismatchError
from shmflink.table import DataTypes

ROW_TYPE = DataTypes.ROW(
    [
        DataTypes.FIELD("char", DataTypes.CHAR(6)),
        DataTypes.FIELD("bytes", DataTypes.BYTES()),
        DataTypes.FIELD("dec", DataTypes.DECIMAL(2, 0)),
        DataTypes.FIELD("n", DataTypes.BIGINT()),
        DataTypes.FIELD("day", DataTypes.DATE().bridged_to("java.sql.Date")),
        DataTypes.FIELD("ts", DataTypes.TIMESTAMP(3)),
        DataTypes.FIELD("list", DataTypes.ARRAY(DataTypes.INT())),
    ]
)


def written(factory: Any, batch: Batch) -> pa.Table:
    factory = pickle.loads(pickle.dumps(factory))
    file = io.BytesIO()
    encoded = factory.encode(batch)
    writer = factory.create(file, encoded)
    writer.write(encoded)
    writer.close()
    return orc.read_table(io.BytesIO(file.getvalue()))


def test_values_have_the_declared_types() -> None:
    row = Row(
        char="flink",
        bytes=b"x",
        dec=Decimal("1.5"),
        n=-(2**63),
        day=dt.date(1970, 1, 2),
        ts=dt.datetime(1970, 1, 2, 3, 4, 5, 600_000),
        list=[1, None],
    )
    table = written(OrcBulkWriters.for_row_type(ROW_TYPE), Batch.of_rows([row, Row(*[None] * 7)], ROW_TYPE.type_info))
    first, second = table.to_pylist()
    assert first["ts"].replace(tzinfo=None) == row["ts"]
    assert {**first, "ts": None} == {**row.as_dict(), "ts": None, "char": "flink ", "dec": Decimal(2)}
    assert set(second.values()) == {None}


def test_row_types_and_arrow_schemas_do_as_well() -> None:
    kind = Types.ROW_NAMED(["a"], [Types.INT()])
    batch = Batch.of_rows([Row(a=1)], kind)
    for declared in (kind, pa.schema([("a", pa.int32())])):
        factory = OrcBulkWriters.for_row_type(declared, {"orc.compress": "ZSTD", "orc.stripe.size": "1000000"})
        assert written(factory, batch).to_pydict() == {"a": [1]}


@pytest.mark.parametrize(
    "rows",
    [
        [{"r": {"n": 1}}, {"r": None}, {"r": {"n": 3}}, {"r": {"n": 4}}],
        [{"r": [{"s": {"t": "a"}}, {"s": None}, {"s": {"t": "c"}}]}, {"r": None}, {"r": [{"s": {"t": "d"}}]}],
        [{"r": {"n": 1}}, None, {"r": {"n": 3}}, None, {"r": {"n": 5}}],
    ],
)
def test_rows_within_rows_keep_their_values(rows: list[Any]) -> None:
    """pyarrow 26.0.1 alone writes other rows' values after a null row, and a slice from the first row of all."""
    whole = pa.array([{"r": None}, *rows])
    pairs = pa.array([[("k", value)] for value in [None, *rows]], pa.map_(pa.string(), whole.type))
    fixed = pa.FixedSizeListArray.from_arrays(whole, 1)
    batch = pa.RecordBatch.from_arrays([whole, pairs, fixed], ["row", "map", "fixed"]).slice(1)
    file = io.BytesIO()
    writer = OrcBulkWriters.for_row_type(batch.schema).create(file, batch)
    writer.write(batch)
    writer.close()
    read = orc.read_table(io.BytesIO(file.getvalue()))
    assert read.to_pydict() == {"row": rows, "map": [[("k", row)] for row in rows], "fixed": [[row] for row in rows]}


def test_a_field_that_holds_no_null_may_be_in_a_null_row() -> None:
    kind = pa.struct([pa.field("n", pa.int64(), nullable=False)])
    rows = [{"r": {"n": 1}}, {"r": None}, {"r": {"n": 3}}]
    batch = pa.RecordBatch.from_arrays([pa.array(rows, pa.struct([("r", kind)]))], ["row"])
    file = io.BytesIO()
    writer = OrcBulkWriters.for_row_type(batch.schema).create(file, batch)
    writer.write(batch)
    writer.close()
    assert orc.read_table(io.BytesIO(file.getvalue())).to_pydict() == {"row": rows}


def test_what_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ORC property 'orc.bloom': one of orc.compress, orc.stripe.size"):
        OrcBulkWriters.for_row_type(ROW_TYPE, {"orc.bloom": "1"})
    with pytest.raises(ConfigurationError, match="no Hadoop here"):
        OrcBulkWriters.for_row_type(ROW_TYPE, None, object())
    with pytest.raises(ConfigurationError, match="unknown ORC compression 'lzo'"):
        OrcBulkWriters.for_row_type(ROW_TYPE, {"orc.compress": "LZO"})
    with pytest.raises(TypeMismatchError, match="ORC has no columns for undeclared objects"):
        OrcBulkWriters.for_row_type(Types.PICKLED_BYTE_ARRAY())
    with pytest.raises(TypeMismatchError, match=r"DECIMAL\(50, 0\): the precision must be 1 to 38 digits"):
        DataTypes.DECIMAL(50, 0)
