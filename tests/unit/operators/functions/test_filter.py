"""Stories of FilterOperator."""

from __future__ import annotations

import pytest

from shmflink.core.types.typeinfo import Types
from shmflink.errors import UserFunctionError
from shmflink.operators.functions.filter import FilterOperator
from shmflink.testing import OperatorHarness


def test_rows_are_kept_with_their_timestamps_and_type() -> None:
    with OperatorHarness(FilterOperator(lambda x: x % 2)) as harness:
        harness.process_rows([1, 2, 3, 4], Types.INT(), timestamps=[1, 2, 3, 4])
        assert harness.rows() == [1, 3]
        assert harness.timestamps() == [1, 3]
        assert harness.batches()[0].row_type == Types.INT()


def test_nothing_kept_gives_no_batch() -> None:
    with OperatorHarness(FilterOperator(lambda _: False)) as harness:
        harness.process_rows([1, 2])
        assert harness.elements == []


def test_the_offending_record_is_named() -> None:
    with OperatorHarness(FilterOperator(lambda x: x["a"])) as harness, pytest.raises(UserFunctionError) as caught:
        harness.process_rows([{"a": 1}, {"b": 2}])
    assert caught.value.record == "{'b': 2}"
