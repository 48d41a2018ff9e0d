"""Steps over columns: what they keep, what they copy, what they refuse."""

from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, Types
from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, col, lit
from shmflink.operators.columns.expressions import ColumnsOperator, narrowest
from shmflink.operators.columns.steps import EXPLODED_ROWS_MAX, ColumnStep, Explode, Filter, Project
from shmflink.testing import OperatorHarness

TABLE = pa.record_batch(
    {
        "a": pa.array([1, 2, None, 4], pa.int64()),
        "s": ["x", None, "z", ""],
        "xs": pa.array([[1, 2], [], None, [None]], pa.list_(pa.int32())),
    }
)
STAMPS = pa.array([10, 20, 30, 40])


def select(*names: str, **named: Expression) -> Project:
    return Project(tuple({**{name: col(name) for name in names}, **named}.items()))


def run(batch: Batch, *steps: ColumnStep, declared: TypeInformation | None = None) -> list[Batch]:
    operator = ColumnsOperator(declared or ColumnsTypeInfo(batch.columns().schema), steps)
    with OperatorHarness(pickle.loads(pickle.dumps(operator)), name="op") as harness:
        harness.process_batch(batch)
        return [element for element in harness.elements if isinstance(element, Batch)]


def rows(*steps: ColumnStep) -> list[dict[str, Any]]:
    made = run(Batch.of_columns(TABLE), *steps)
    return [row for batch in made for row in batch.columns().to_pylist()]


def addresses(array: pa.Array) -> list[int]:
    return [buffer.address for buffer in array.buffers() if buffer is not None]


def test_a_choice_of_columns_copies_nothing() -> None:
    (made,) = run(Batch.of_columns(TABLE, timestamps=STAMPS), select("s", b=col("a")))
    assert made.columns().schema == pa.schema([("s", pa.utf8()), ("b", pa.int64())])
    assert addresses(made.columns().column("b")) == addresses(TABLE.column("a"))
    assert made.timestamps is STAMPS


def test_a_filter_keeps_true_and_drops_false_and_null() -> None:
    (made,) = run(Batch.of_columns(TABLE, timestamps=STAMPS), Filter(col("a") > 1))
    assert made.columns().to_pylist() == TABLE.take(pa.array([1, 3])).to_pylist()
    assert made.timestamps.to_pylist() == [20, 40]


def test_columns_of_views_are_filtered_and_repeated_as_plain_strings() -> None:
    views = pa.record_batch({"s": pa.array(["a", "b", "a"], pa.string_view()), "v": pa.array([[1, 2], [], [3]])})
    (kept,) = run(Batch.of_columns(views), Filter(col("s").starts_with("a")))
    (repeated,) = run(Batch.of_columns(views), Explode("v", col("v"), False))
    assert kept.columns().schema.field("s").type == pa.string()
    assert kept.columns().to_pylist() == [{"s": "a", "v": [1, 2]}, {"s": "a", "v": [3]}]
    assert repeated.columns().schema.field("s").type == pa.string()
    assert repeated.columns().to_pylist() == [{"s": "a", "v": 1}, {"s": "a", "v": 2}, {"s": "a", "v": 3}]


def test_a_filter_that_keeps_everything_hands_on_the_columns_it_got() -> None:
    (made,) = run(Batch.of_columns(TABLE), Filter(lit(True)))
    assert addresses(made.columns().column("xs")) == addresses(TABLE.column("xs"))
    assert run(Batch.of_columns(TABLE), Filter(lit(None, pa.bool_()))) == []


def test_a_filter_keeps_tuples_as_tuples() -> None:
    declared = Types.TUPLE([Types.INT(), Types.STRING()])
    batch = Batch.of_rows([(1, "a"), (2, "b")], declared, timestamps=pa.array([1, 2]))
    (made,) = run(batch, Filter(col("f0") > 1), Filter(col("f1") == "b"), declared=declared)
    assert (made.rows(), made.timestamps.to_pylist()) == ([(2, "b")], [2])
    assert run(batch, Filter(col("f0") > 1), Filter(col("f1") == "a"), declared=declared) == []


def test_decimals_of_rows_are_numbers() -> None:
    from decimal import Decimal

    declared = Types.ROW_NAMED(["d"], [Types.BIG_DEC()])
    batch = Batch.of_rows([(Decimal("1.5"),), (Decimal("30.25"),)], declared)
    (made,) = run(batch, Filter(col("d") > lit(Decimal(9))), select(d2=col("d")), declared=declared)
    assert made.columns().to_pylist() == [{"d2": Decimal("30.250000000000000000")}]


def test_explode_gives_a_row_for_each_element() -> None:
    assert rows(Explode("xs", col("xs")), select("a", "xs")) == [
        {"a": 1, "xs": 1},
        {"a": 1, "xs": 2},
        {"a": 4, "xs": None},
    ]
    assert rows(Explode("x", col("xs"), outer=True), select("a", "x", "s")) == [
        {"a": 1, "x": 1, "s": "x"},
        {"a": 1, "x": 2, "s": "x"},
        {"a": 2, "x": None, "s": None},
        {"a": None, "x": None, "s": "z"},
        {"a": 4, "x": None, "s": ""},
    ]


def test_explode_repeats_timestamps() -> None:
    (made,) = run(Batch.of_columns(TABLE, timestamps=STAMPS), Explode("xs", col("xs"), outer=True))
    assert made.timestamps.to_pylist() == [10, 10, 20, 30, 40]
    assert made.columns().schema.names == ["a", "s", "xs"]


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int32()), pa.list_(pa.int32(), 2)])
@pytest.mark.parametrize("outer", [False, True])
def test_kinds_of_arrays_and_slices_of_them(kind: pa.DataType, outer: bool) -> None:
    arrays = pa.array([[9, 9], [1, 2], None, [3, 4]], kind)
    batch = pa.record_batch({"k": pa.array(["-", "a", "b", "c"]), "xs": arrays}).slice(1)
    (made,) = run(Batch.of_columns(batch), Explode("xs", col("xs"), outer))
    expected = [("a", 1), ("a", 2), *([("b", None)] if outer else []), ("c", 3), ("c", 4)]
    assert [tuple(row.values()) for row in made.columns().to_pylist()] == expected


def test_what_comes_of_exploding_is_bounded() -> None:
    sizes = [3, EXPLODED_ROWS_MAX * 2 + 5, 0, 7, EXPLODED_ROWS_MAX - 8, 2]
    arrays = pa.array([list(range(size)) for size in sizes], pa.list_(pa.int64()))
    batch = pa.record_batch({"k": pa.array(range(len(sizes))), "xs": arrays})
    made = run(Batch.of_columns(batch), Explode("xs", col("xs")))
    assert max(batch.num_rows for batch in made) <= EXPLODED_ROWS_MAX
    table = pa.Table.from_batches([batch.columns() for batch in made])
    assert table.column("k").to_pylist() == [k for k, size in enumerate(sizes) for _ in range(size)]
    assert table.column("xs").to_pylist() == [x for size in sizes for x in range(size)]


def test_columns_end_where_nobody_needs_them_any_more() -> None:
    operator = ColumnsOperator(ColumnsTypeInfo(TABLE.schema), [Filter(col("a") > 1)])
    fused = operator.fused_with(ColumnsOperator(operator.output_type, [select("s")]))
    assert isinstance(fused, ColumnsOperator)
    assert (fused.schema.names, len(fused.steps)) == (["s"], 2)
    assert fused.columns_needed(None) == {"a", "s"}
    narrow = fused.narrowed(ColumnsTypeInfo(pa.schema([("s", pa.utf8()), ("a", pa.int64())])), frozenset({"s"}))
    with OperatorHarness(narrow) as harness:
        harness.process_batch(Batch.of_columns(TABLE.select(["s", "a"])))
        assert harness.elements[0].columns().to_pydict() == {"s": [None, ""]}  # type: ignore[union-attr]


def test_a_batch_keeps_its_number_of_rows_without_a_column_that_is_needed() -> None:
    assert rows(Filter(col("a") > 1), select(one=lit(1, pa.int8()))) == [{"one": 1}, {"one": 1}]
    operator = ColumnsOperator(ColumnsTypeInfo(TABLE.schema), [Filter(col("a") > 1)])
    assert operator.columns_needed(frozenset()) == {"a"}
    assert narrowest(TABLE.schema) == "a"


def test_other_columns_than_declared_are_refused_and_fitting_ones_cast() -> None:
    operator = ColumnsOperator(ColumnsTypeInfo(pa.schema([("a", pa.int64())])), [select("a")])
    with OperatorHarness(operator, name="op") as harness:
        harness.process_batch(Batch.of_columns(pa.record_batch({"a": pa.array([1], pa.int8())})))
        assert harness.elements[-1].columns().schema.types == [pa.int64()]  # type: ignore[union-attr]
        with pytest.raises(
            TypeMismatchError, match=r"operator 'op'.*expected the columns \['a'\], but a batch has \['b'\]"
        ):
            harness.process_batch(Batch.of_columns(pa.record_batch({"b": [1]})))
        with pytest.raises(TypeMismatchError, match="column `a` is declared as int64, but a batch has string"):
            harness.process_batch(Batch.of_columns(pa.record_batch({"a": ["x"]})))


def test_conditions_and_arrays_are_checked_when_the_operator_is_made() -> None:
    declared = ColumnsTypeInfo(TABLE.schema)
    with pytest.raises(TypeMismatchError, match=r"takes a condition, but `a` is int64"):
        ColumnsOperator(declared, [Filter(col("a"))])
    with pytest.raises(TypeMismatchError, match=r"explode\(\) takes an array, but `s` is string"):
        ColumnsOperator(declared, [Explode("s", col("s"))])
    with pytest.raises(TypeMismatchError, match="there is no column `b`"):
        ColumnsOperator(declared, [select("a"), Filter(col("b") > 1)])
    with pytest.raises(TypeMismatchError, match="has no columns"):
        ColumnsOperator(Types.PICKLED_BYTE_ARRAY(), [])
