"""List state of a subtask, and what happens to it when the parallelism changes."""

from __future__ import annotations

from typing import Any

import pytest

from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError
from shmflink.operators.functions.map import MapOperator
from shmflink.state.descriptors import ListStateDescriptor
from shmflink.state.operator_state import OperatorStateStore, redistributed
from shmflink.testing.operator_harness import OperatorHarness

OFFSETS = ListStateDescriptor("offsets", Types.LONG())


def snapshots(*elements: list[int], union: bool = False) -> list[Any]:
    made = []
    for each in elements:
        store = OperatorStateStore()
        state = store.get_union_list_state(OFFSETS) if union else store.get_list_state(OFFSETS)
        state.add_all(each)
        made.append(store.snapshot())
    return made


def elements_of(parts: list[Any]) -> list[list[int]]:
    found = []
    for part in parts:
        store = OperatorStateStore()
        store.restore(part)
        assert store.is_restored
        found.append(part["offsets"].elements)
    return found


def test_split_state_is_dealt_out_in_turn() -> None:
    before = snapshots([1, 2], [3], [4, 5])
    assert elements_of(redistributed(before, 2)) == [[1, 3, 5], [2, 4]]
    assert elements_of(redistributed(before, 3)) == [[1, 2], [3], [4, 5]]  # nothing moves without need
    assert elements_of(redistributed(before, 7)) == [[1], [2], [3], [4], [5], [], []]


def test_who_is_restarted_alone_has_its_own_although_others_have_ended() -> None:
    """Dealt out anew, the elements would go to a subtask that is not started: they would be lost."""
    ended: dict[str, Any] = {}
    assert elements_of(redistributed([ended, *snapshots([3, 4])], 2)) == [[], [3, 4]]
    assert elements_of(redistributed([*snapshots([3]), ended, *snapshots([4, 5])], 3)) == [[3], [], [4, 5]]
    assert elements_of(redistributed([ended, *snapshots([3, 4])], 3)) == [[3], [4], []]


def test_union_state_goes_to_everybody() -> None:
    assert elements_of(redistributed(snapshots([1], [2, 3], union=True), 2)) == [[1, 2, 3], [1, 2, 3]]


def test_one_name_is_one_kind_of_state() -> None:
    store = OperatorStateStore()
    store.get_list_state(OFFSETS).add(1)
    assert store.get_list_state(OFFSETS).get() == [1]
    with pytest.raises(TypeMismatchError, match="'offsets' is requested as union list of Long, but it is a split list"):
        store.get_union_list_state(OFFSETS)
    with pytest.raises(TypeMismatchError, match="of String, but it is a split list of Long"):
        store.get_list_state(ListStateDescriptor("offsets", Types.STRING()))


def test_elements_are_values_and_snapshots_stand_still() -> None:
    state = OperatorStateStore()
    listed = state.get_list_state(ListStateDescriptor("lists", Types.PICKLED_BYTE_ARRAY()))
    element = [1]
    listed.add(element)
    element.append(2)
    listed.get()[0].append(3)
    frozen = state.snapshot()
    listed.update([[9]])
    assert (frozen["lists"].elements, listed.get()) == ([[1]], [[9]])


def test_a_function_gets_its_state_before_it_is_opened() -> None:
    class Counts:
        def initialize_state(self, context: Any) -> None:
            assert not context.is_restored()
            self.seen = context.get_operator_state_store().get_list_state(OFFSETS)

        def open(self, context: Any) -> None:
            self.seen.add(0)

        def map(self, value: int) -> list[int]:
            self.seen.add(value)
            return self.seen.get()

    with OperatorHarness(MapOperator(Counts())) as bench:
        bench.process_rows([5, 6])
        assert bench.rows() == [[0, 5], [0, 5, 6]]
        assert bench.context.operator_state.snapshot()["offsets"].elements == [0, 5, 6]
