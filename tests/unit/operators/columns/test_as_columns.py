from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError
from shmflink.operators.columns.as_columns import AsColumnsOperator
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


def test_integers_of_64_bits_without_a_sign() -> None:
    schema = pa.schema([("u", pa.uint64()), ("l", pa.list_(pa.uint64()))])
    assert columns_of(Batch.of_rows([(2**64 - 1, [2**63])]), schema) == {"u": [2**64 - 1], "l": [[2**63]]}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *((300, pa.int8()), (-1, pa.uint64()), (2**64, pa.uint64()), (2**32, pa.uint32()), (2**63, pa.int64())),
        *((1e300, pa.float32()), (1e300, pa.float16()), ([300], pa.list_(pa.int8())), ([-1], pa.list_(pa.uint8()))),
        *((Decimal("1.234"), pa.decimal128(5, 2)), (Decimal("12345.6"), pa.decimal128(5, 2))),
        ({"k": 300}, pa.map_(pa.utf8(), pa.int8())),
    ],
)
def test_a_value_beyond_its_column_is_an_error_that_names_the_column(value: Any, kind: pa.DataType) -> None:
    with pytest.raises(TypeMismatchError, match=r"operator 'op': .*(column `wrong`|\(wrong\))"):
        columns_of(Batch.of_rows([(1, value)]), pa.schema([("right", pa.int8()), ("wrong", kind)]))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([300]), pa.int8()),
        (pa.array([2**64 - 1], pa.uint64()), pa.int64()),
        (pa.array([-1]), pa.uint64()),
        (pa.array([1.0, 1e300]), pa.float32()),
    ],
)
def test_a_column_that_does_not_fit_its_type_is_an_error(column: pa.Array, kind: pa.DataType) -> None:
    with pytest.raises(TypeMismatchError, match="column `c` is declared as"):
        columns_of(Batch.of_columns(pa.record_batch({"c": column})), pa.schema([("c", kind)]))


def test_an_infinite_float_stays_one() -> None:
    column = pa.array([float("inf"), 0.1, None])
    made = columns_of(Batch.of_columns(pa.record_batch({"c": column})), pa.schema([("c", pa.float32())]))
    assert made == {"c": [float("inf"), 0.10000000149011612, None]}
