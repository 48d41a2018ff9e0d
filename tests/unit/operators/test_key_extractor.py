"""Stories of KeyExtractor."""

from __future__ import annotations

import pytest

from shmflink.core.keys.columns import key_values
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError, UserFunctionError
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.testing import OperatorHarness


def test_rows_stay_and_keys_are_set() -> None:
    with OperatorHarness(KeyExtractor(lambda x: x[0])) as harness:
        harness.process_rows([("a", 1), ("b", 2)], timestamps=[1, 2])
        assert harness.rows() == [("a", 1), ("b", 2)]
        assert harness.timestamps() == [1, 2]
        assert key_values(harness.batches()[0].keys) == ["a", "b"]


def test_keys_are_cast_to_the_declared_type() -> None:
    with OperatorHarness(KeyExtractor(lambda x: x, Types.BYTE())) as harness:
        harness.process_rows([True, 1])
        assert key_values(harness.batches()[0].keys) == [1, 1]


def test_a_key_beyond_its_type_is_refused_and_not_taken_for_another_key() -> None:
    harness = OperatorHarness(KeyExtractor(lambda x: x, Types.BYTE()), name="KeyBy")
    with harness, pytest.raises(TypeMismatchError, match=r"'KeyBy': 257 is beyond BYTE"):
        harness.process_rows([1, 257])


def test_a_key_without_stable_bytes_names_the_operator() -> None:
    harness = OperatorHarness(KeyExtractor(lambda x: {x}), name="KeyBy")
    with harness, pytest.raises(TypeMismatchError, match=r"'KeyBy'.*\nrecord: 1"):
        harness.process_rows([1])


def test_a_selector_that_raises_names_the_record() -> None:
    class Select:
        def get_key(self, value: tuple[int, ...]) -> int:
            return value[1]

    with OperatorHarness(KeyExtractor(Select())) as harness, pytest.raises(UserFunctionError) as caught:
        harness.process_rows([(1, 2), (3,)])
    assert caught.value.record == "(3,)"
