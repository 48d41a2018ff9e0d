"""Stories of ReduceOperator."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shmflink.core.elements import MAX_WATERMARK
from shmflink.core.keys.columns import encode_keys
from shmflink.core.keys.groups import key_groups
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import UserFunctionError
from shmflink.operators.functions.reduce import ReduceOperator
from shmflink.state.snapshots import restored_from
from shmflink.testing import OperatorHarness


def _add(a: tuple[Any, int], b: tuple[Any, int]) -> tuple[Any, int]:
    return a[0], a[1] + b[1]


def _key(row: Any) -> Any:
    return row[0]


def test_streaming_emits_every_update_with_the_rows_timestamp() -> None:
    with OperatorHarness(ReduceOperator(_add), key_selector=_key) as harness:
        harness.process_rows([("a", 1), ("b", 5), ("a", 2)], timestamps=[1, 2, 3])
        harness.process_rows([("a", 10)], timestamps=[4])
        harness.finish()
        assert harness.rows() == [("a", 1), ("b", 5), ("a", 3), ("a", 13)]
        assert harness.timestamps() == [1, 2, 3, 4]


def test_batch_emits_one_result_per_key_before_the_last_watermark() -> None:
    with OperatorHarness(ReduceOperator(_add), key_selector=_key, is_batch=True) as harness:
        harness.process_rows([("a", 1), ("b", 5), ("a", 2)])
        assert harness.elements == []
        harness.process_control(MAX_WATERMARK)
        harness.finish()
        assert harness.rows() == [("a", 3), ("b", 5)]
        assert harness.elements[-1] == MAX_WATERMARK


def test_keys_of_different_type_are_different_and_all_nans_are_one() -> None:
    rows = [(key, 1) for key in (1, 1.0, True, "1", None, math.nan, float("nan"), 0.0, -0.0)]
    with OperatorHarness(ReduceOperator(_add), key_selector=_key) as harness:
        harness.process_rows(rows)
        assert [row[1] for row in harness.rows()] == [1, 1, 1, 1, 1, 1, 2, 1, 2]


def test_a_function_that_changes_its_argument_in_place_never_changes_what_was_emitted() -> None:
    def extend(a: list[int], b: list[int]) -> list[int]:
        a.extend(b)
        return a

    first = [1]
    with OperatorHarness(ReduceOperator(extend), key_selector=lambda _: 0) as harness:
        harness.process_rows([first, [2], [3]])
        assert harness.rows() == [[1], [1, 2], [1, 2, 3]]
        assert first == [1]


def test_results_have_the_declared_form_before_they_are_reduced_again() -> None:
    declared = Types.ROW_NAMED(["word", "count"], [Types.STRING(), Types.LONG()])
    operator = ReduceOperator(lambda a, b: (a.word, a.count + b.count), declared)
    with OperatorHarness(operator, key_selector=_key) as harness:
        harness.process_rows([Row(word="a", count=1)] * 3, declared)
        assert harness.rows() == [Row(word="a", count=n) for n in (1, 2, 3)]


def test_an_error_names_both_values() -> None:
    with (
        OperatorHarness(ReduceOperator(_add), key_selector=_key) as harness,
        pytest.raises(UserFunctionError) as caught,
    ):
        harness.process_rows([("a", 1), ("a", None)])
    assert caught.value.record == "('a', 1), ('a', None)"


def test_state_moves_with_its_key_groups() -> None:
    with OperatorHarness(ReduceOperator(_add), key_selector=_key, max_parallelism=4) as old:
        old.process_rows([(key, 10) for key in range(100)])
        restored = restored_from([old.snapshot()], range(2), 0, 2)
    with OperatorHarness(ReduceOperator(_add), key_selector=_key, max_parallelism=4, restored=restored) as new:
        new.process_rows([(key, 1) for key in range(100)])
        owned = {key for key, group in enumerate(key_groups(encode_keys(range(100)), 4)) if group < 2}
        assert {key for key, value in new.rows() if value == 11} == owned
        assert 0 < len(owned) < 100


def test_final_results_leave_once_at_the_end_whatever_was_frozen_before() -> None:
    final = ReduceOperator(_add).with_final_results()
    with OperatorHarness(final, key_selector=_key) as before:
        before.process_rows([("a", 1), ("b", 2)])
        before.snapshot()
        before.process_rows([("a", 10)])
        assert before.rows() == []
        before.process_watermark(MAX_WATERMARK.timestamp_ms)
        assert sorted(before.rows()) == [("a", 11), ("b", 2)]
        behind = before.snapshot()
    with OperatorHarness(final, key_selector=_key, restored=restored_from([behind], range(128), 0, 1)) as after:
        after.finish()
        assert after.rows() == []
