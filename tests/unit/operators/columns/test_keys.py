from __future__ import annotations

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.keys.columns import key_values
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import InternalError, TypeMismatchError
from shmflink.expressions import Expression, col
from shmflink.operators.columns.keys import ColumnKeyExtractor, ColumnKeys, KeyAndRowOperator
from shmflink.testing import OperatorHarness

TABLE = pa.record_batch({"a": pa.array([1, 2, None], pa.int32()), "s": ["x", None, "z"]})


def extracted(**named: Expression) -> Batch:
    keys = ColumnKeys(ColumnsTypeInfo(TABLE.schema), tuple(named.items()))
    with OperatorHarness(ColumnKeyExtractor(keys)) as harness:
        harness.process_batch(Batch.of_columns(TABLE, timestamps=pa.array([1, 2, 3])))
        made = harness.elements[0]
        assert isinstance(made, Batch)
        return made


def test_the_values_of_one_column_are_the_keys() -> None:
    made = extracted(s=col("s"))
    assert key_values(made.keys) == ["x", None, "z"]
    assert made.columns() == TABLE
    assert made.timestamps.to_pylist() == [1, 2, 3]


def test_ints_of_any_width_are_the_same_keys() -> None:
    assert extracted(a=col("a")).keys.type == pa.int64()


def test_several_columns_make_tuples() -> None:
    assert key_values(extracted(s=col("s"), more=col("a") + 1).keys) == [("x", 2), (None, 3), ("z", None)]


def test_collected_keyed_rows_are_pairs() -> None:
    with OperatorHarness(KeyAndRowOperator()) as harness:
        harness.process_batch(extracted(s=col("s")))
        assert harness.rows()[0] == Row(f0="x", f1=Row(a=1, s="x"))
        with pytest.raises(InternalError, match="without keys"):
            harness.process_batch(Batch.of_columns(TABLE))


def test_an_unknown_column_is_refused_when_the_keys_are_made() -> None:
    with pytest.raises(TypeMismatchError, match="there is no column `t`"):
        extracted(t=col("t"))
