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


class _OneList:
    """Hands out the same list for every row, changed."""

    def __init__(self) -> None:
        self._key: list[int] = []

    def get_key(self, value: int) -> list[int]:
        self._key[:] = [value % 2]
        return self._key


@pytest.mark.parametrize("key_type", [None, Types.LIST(Types.INT())])
def test_keys_are_what_the_selector_returned_and_not_what_it_made_of_it_later(key_type) -> None:
    """As where PyFlink serializes a key at once."""
    with OperatorHarness(KeyExtractor(_OneList(), key_type)) as harness:
        harness.process_rows([1, 2, 3])
        assert [list(key) for key in key_values(harness.batches()[0].keys)] == [[1], [0], [1]]


def test_a_selector_that_raises_stop_iteration_does_not_end_the_batch() -> None:
    def select(value: int) -> int:
        raise StopIteration

    with OperatorHarness(KeyExtractor(select)) as harness, pytest.raises(UserFunctionError, match="StopIteration"):
        harness.process_rows([1, 2])
