from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError
from shmflink.operators.as_columns import AsColumnsOperator
from shmflink.testing import OperatorHarness

SCHEMA = pa.schema([("a", pa.int32()), ("b", pa.utf8())])


def columns_of(batch: Batch, schema: pa.Schema = SCHEMA) -> dict[str, list[Any]]:
    with OperatorHarness(AsColumnsOperator(ColumnsTypeInfo(schema)), name="op") as harness:
        harness.process_batch(batch)
        made = harness.elements[0]
        assert isinstance(made, Batch)
        assert made.columns().schema.equals(schema)
        return made.columns().to_pydict()


@pytest.mark.parametrize("row", [(1, "x"), {"b": "x", "a": 1}, Row(b="x", a=1), Row(1, "x"), [1, "x"]])
def test_rows_of_any_kind(row: Any) -> None:
    assert columns_of(Batch.of_rows([row])) == {"a": [1], "b": ["x"]}


def test_rows_that_came_over_a_channel() -> None:
    batch = Batch.from_wire(Batch.of_rows([(1, "x"), (2, None)]).to_wire())
    assert columns_of(batch) == {"a": [1, 2], "b": ["x", None]}


def test_a_scalar_is_the_only_column() -> None:
    assert columns_of(Batch.of_rows([1, None]), pa.schema([("n", pa.int8())])) == {"n": [1, None]}


def test_record_batches_by_name() -> None:
    batch = pa.record_batch({"c": [True], "b": ["x"], "a": pa.array([7], pa.int64())})
    assert columns_of(Batch.of_columns(batch)) == {"a": [7], "b": ["x"]}


def test_what_does_not_fit_names_the_operator() -> None:
    with pytest.raises(TypeMismatchError, match=r"operator 'op': .*not \['a'\]"):
        columns_of(Batch.of_columns(pa.record_batch({"b": ["x"]})))
    with pytest.raises(TypeMismatchError, match="operator 'op'"):
        columns_of(Batch.of_rows([("text", "x")]))
