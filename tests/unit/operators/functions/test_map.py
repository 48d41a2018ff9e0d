"""Stories of MapOperator."""

from __future__ import annotations

import pytest

from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError, UserFunctionError
from shmflink.operators.functions.map import MapOperator
from shmflink.testing import OperatorHarness


def test_each_row_is_replaced_and_keeps_its_timestamp() -> None:
    with OperatorHarness(MapOperator(lambda x: x * 2)) as harness:
        harness.process_rows([1, 2, 3], timestamps=[10, 20, 30])
        assert harness.rows() == [2, 4, 6]
        assert harness.timestamps() == [10, 20, 30]


def test_a_function_object_is_opened_used_and_closed() -> None:
    calls: list[str] = []

    class AddIndex:
        def open(self, runtime_context: object) -> None:
            calls.append("open")
            self.index = runtime_context.get_index_of_this_subtask()  # type: ignore[attr-defined]

        def map(self, value: int) -> int:
            return value + self.index

        def close(self) -> None:
            calls.append("close")

    with OperatorHarness(MapOperator(AddIndex()), subtask_index=3, parallelism=4) as harness:
        harness.process_rows([1])
        assert harness.rows() == [4]
    assert calls == ["open", "close"]


def test_close_is_called_though_open_failed() -> None:
    closed: list[bool] = []

    class Broken:
        def open(self, runtime_context: object) -> None:
            raise ConnectionError("no database")

        def map(self, value: int) -> int:
            return value

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(UserFunctionError, match=r"in open\(\) with ConnectionError: no database"):
        OperatorHarness(MapOperator(Broken())).__enter__()
    assert closed == [True]


def test_what_the_function_raises_is_told_with_operator_record_and_the_users_frames_alone() -> None:
    def divide(x: int) -> float:
        return 1 / x

    harness = OperatorHarness(MapOperator(divide), name="Divide", subtask_index=1, parallelism=4)
    with harness, pytest.raises(UserFunctionError) as caught:
        harness.process_rows([2, 1, 0, 5])
    error = caught.value
    assert error.operator == "Divide"
    assert error.subtask == 1
    assert error.record == "0"
    assert "'Divide' (2/4)" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "in divide" in error.traceback_text
    assert "operators/functions/map.py" not in error.traceback_text


def test_a_long_record_is_shortened_and_a_broken_repr_does_not_hide_the_error() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError("no")

    def fail(_: object) -> None:
        raise KeyError("first cause")

    for record, shown in (("x" * 10_000, "(10002 characters)"), (Unprintable(), "whose repr() raised ValueError")):
        with OperatorHarness(MapOperator(fail)) as harness, pytest.raises(UserFunctionError) as caught:
            harness.process_rows([record])
        assert shown in str(caught.value.record)
        assert "first cause" in str(caught.value)


def test_a_stop_iteration_is_an_error_and_loses_no_rows_silently() -> None:
    with OperatorHarness(MapOperator(lambda _: next(iter(())))) as harness, pytest.raises(UserFunctionError):
        harness.process_rows([1, 2])


def test_results_are_brought_into_the_declared_type() -> None:
    declared = Types.ROW_NAMED(["word", "count"], [Types.STRING(), Types.BYTE()])
    with OperatorHarness(MapOperator(lambda x: (x, 100), declared)) as harness:
        harness.process_rows(["a"])
        assert harness.rows() == [Row(word="a", count=100)]


def test_a_result_of_another_type_names_the_operator() -> None:
    operator = MapOperator(lambda _: "text", Types.INT())
    with OperatorHarness(operator, name="Parse") as harness, pytest.raises(TypeMismatchError, match=r"'Parse'.*INT"):
        harness.process_rows([1])


def test_neither_callable_nor_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"map\(\)"):
        MapOperator(42)
