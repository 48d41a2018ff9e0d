"""Stories of MapBatchesOperator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError, UserFunctionError
from shmflink.operators.columns.map_batches import MapBatchesOperator
from shmflink.testing import OperatorHarness

_INPUT = pa.RecordBatch.from_pydict({"a": [1, 2, 3]})


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda b: b, [1, 2, 3]),
        (lambda b: b.filter(pc.greater(b["a"], 1)), [2, 3]),
        (lambda b: pa.Table.from_batches([b, b]), [1, 2, 3, 1, 2, 3]),
        (lambda b: [b.slice(0, 1), None, b.slice(2, 1)], [1, 3]),
        (lambda b: (b.slice(i, 1) for i in (2, 0)), [3, 1]),
        (lambda _: None, []),
        (lambda _: [], []),
    ],
)
def test_one_several_or_no_batches_come_back(function: Callable[[Any], Any], expected: list[int]) -> None:
    with OperatorHarness(MapBatchesOperator(function)) as harness:
        harness.process_batch(_INPUT)
        assert harness.rows() == [Row(a=value) for value in expected]


def test_timestamps_stay_when_the_number_of_rows_does() -> None:
    with OperatorHarness(MapBatchesOperator(lambda b: b)) as harness:
        harness.process_rows([(1,), (2,)], timestamps=[7, 8])
        assert harness.timestamps() == [7, 8]
    with OperatorHarness(MapBatchesOperator(lambda b: b.slice(1))) as harness:
        harness.process_rows([(1,), (2,)], timestamps=[7, 8])
        assert harness.timestamps() == [None]


def test_a_result_that_is_no_batch_is_refused() -> None:
    for result in (5, [5], "text", {"a": [1]}):
        operator = MapBatchesOperator(lambda _, result=result: result)
        with OperatorHarness(operator) as harness, pytest.raises(TypeMismatchError, match=r"pyarrow\.RecordBatch"):
            harness.process_batch(_INPUT)


def test_the_result_is_checked_against_the_declared_type() -> None:
    """[U9]"""
    declared = Types.ROW_NAMED(["a"], [Types.INT()])
    with OperatorHarness(MapBatchesOperator(lambda b: b, declared)) as harness:
        harness.process_batch(_INPUT)
        assert harness.batches()[0].columns().schema.field("a").type == pa.int32()
    harness = OperatorHarness(MapBatchesOperator(lambda b: b.rename_columns(["b"]), declared), name="Derive")
    with harness, pytest.raises(TypeMismatchError, match=r"'Derive'.*\['a'\].*\['b'\]"):
        harness.process_batch(_INPUT)
    harness = OperatorHarness(MapBatchesOperator(lambda b: b, Types.ROW_NAMED(["a"], [Types.BYTE()])))
    with harness, pytest.raises(TypeMismatchError, match="column 'a' is declared as BYTE"):
        harness.process_batch(pa.RecordBatch.from_pydict({"a": [1000]}))


def test_an_error_shows_the_batch_by_schema_and_first_row() -> None:
    harness = OperatorHarness(MapBatchesOperator(lambda b: b["missing"]))
    with harness, pytest.raises(UserFunctionError) as caught:
        harness.process_batch(_INPUT)
    assert caught.value.record == "RecordBatch of 3 rows (a: int64), first row: {'a': 1}"


def test_a_float_that_becomes_infinite_is_an_error() -> None:
    declared = Types.ROW_NAMED(["a"], [Types.FLOAT()])
    harness = OperatorHarness(MapBatchesOperator(lambda b: b, declared), name="Derive")
    with harness, pytest.raises(TypeMismatchError, match=r"'Derive': column 'a' is declared as FLOAT .*1e\+300"):
        harness.process_batch(pa.RecordBatch.from_pydict({"a": [1.0, 1e300]}))


class _Frame:
    """As a data frame of pandas or Polars."""

    def __iter__(self) -> Iterator[str]:
        return iter(["name"])


@pytest.mark.parametrize(
    ("module", "remedy"),
    [("pandas.core.frame", "pa.RecordBatch.from_pandas"), ("polars.dataframe.frame", r"df.to_arrow\(\)")],
)
def test_a_data_frame_is_an_error_that_says_how_to_return_it(module: str, remedy: str) -> None:
    kind = type("DataFrame", (_Frame,), {"__module__": module})
    with (
        OperatorHarness(MapBatchesOperator(lambda _batch: kind())) as bench,
        pytest.raises(TypeMismatchError, match=rf"returned a {module.split('.', maxsplit=1)[0]} DataFrame: .*{remedy}"),
    ):
        bench.process_batch(_INPUT)
