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
