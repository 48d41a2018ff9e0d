"""Stories of FlatMapOperator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from shmflink.errors import UserFunctionError
from shmflink.operators.functions.flat_map import OUTPUT_ROWS_MAX, FlatMapOperator
from shmflink.testing import OperatorHarness


def test_generators_lists_and_none_are_taken_and_timestamps_repeated() -> None:
    def split(n: int) -> object:
        if n == 0:
            return None
        return [n, n] if n == 2 else (x for x in range(n))

    with OperatorHarness(FlatMapOperator(split)) as harness:
        harness.process_rows([0, 1, 2, 3], timestamps=[5, 6, 7, 8])
        assert harness.rows() == [0, 2, 2, 0, 1, 2]
        assert harness.timestamps() == [6, 7, 7, 8, 8, 8]


def test_an_exploding_function_stands_still_between_two_output_batches() -> None:
    produced = 0

    def explode(_: int) -> Iterator[int]:
        nonlocal produced
        for number in itertools.count():
            produced += 1
            yield number

    with OperatorHarness(FlatMapOperator(explode)) as harness:
        outputs = harness.outputs_of(harness.batch([1]))
        assert produced == 0
        for pulled in (1, 2, 3):
            assert next(outputs).num_rows == OUTPUT_ROWS_MAX  # type: ignore[union-attr]
            assert produced == pulled * OUTPUT_ROWS_MAX


def test_a_slow_explosion_hands_on_what_a_moment_gives() -> None:
    def explode(_: int) -> Iterator[int]:
        for number in range(12):
            harness.clock.advance_ms(10)  # type: ignore[attr-defined]
            yield number

    with OperatorHarness(FlatMapOperator(explode)) as harness:
        batches = list(harness.outputs_of(harness.batch([1])))
        assert [batch.rows() for batch in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]  # type: ignore[union-attr]


def test_an_error_in_the_middle_of_a_generator_names_its_record() -> None:
    def split(line: str) -> Iterator[int]:
        for part in line.split():
            yield int(part)

    with OperatorHarness(FlatMapOperator(split)) as harness, pytest.raises(UserFunctionError) as caught:
        harness.process_rows(["1 2", "3 x", "4"])
    assert caught.value.record == "'3 x'"
    assert "in split" in caught.value.traceback_text


def test_a_result_that_is_no_iterable_is_explained() -> None:
    with OperatorHarness(FlatMapOperator(lambda x: x)) as harness, pytest.raises(UserFunctionError) as caught:
        harness.process_rows([[1], 2])
    assert "must yield rows, or return an iterable or None" in str(caught.value)
    assert caught.value.record == "2"


def test_a_stop_iteration_is_an_error_and_loses_no_rows_silently() -> None:
    with OperatorHarness(FlatMapOperator(lambda x: next(iter(x)))) as harness, pytest.raises(UserFunctionError):
        harness.process_rows([[[1]], [], [[2]]])
