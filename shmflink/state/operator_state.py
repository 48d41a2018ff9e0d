"""State of a subtask without keys: lists that are redistributed when the parallelism changes.

Source: Flink's OperatorStateStore, RoundRobinOperatorStateRepartitioner. PyFlink's functions have no such state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from shmflink.core.isolation import isolated
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import StateMismatchError, TypeMismatchError
from shmflink.state.descriptors import ListStateDescriptor

__all__ = ["OperatorListState", "OperatorStatePart", "OperatorStateStore", "Redistribution", "redistributed"]


class Redistribution(Enum):
    """How elements are distributed after a restore."""

    SPLIT_DISTRIBUTE = "split"  # each element goes to one subtask, in turn
    UNION = "union"  # every subtask gets all elements


@dataclass(frozen=True, slots=True)
class OperatorStatePart:
    """One state of one subtask in a snapshot."""

    redistribution: Redistribution
    elements: list[Any]
    type_text: str


class OperatorListState:
    """The elements of this subtask. Reads and writes copy values, as in keyed state."""

    __slots__ = ("_elements",)

    def __init__(self, elements: list[Any]) -> None:
        """`elements` is modified in place."""
        self._elements = elements

    def get(self) -> list[Any]:
        """The elements; empty if there are none."""
        return [isolated(element) for element in self._elements]

    def add(self, value: Any) -> None:
        """Appends an element."""
        self._elements.append(isolated(value))

    def add_all(self, values: Iterable[Any]) -> None:
        """Appends elements."""
        self._elements.extend(map(isolated, values))

    def update(self, values: Iterable[Any]) -> None:
        """Replaces all elements."""
        self._elements[:] = map(isolated, values)

    def clear(self) -> None:
        """Removes all elements."""
        self._elements.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())


class OperatorStateStore:
    """The list states of one operator and subtask."""

    def __init__(self) -> None:
        self._parts: dict[str, OperatorStatePart] = {}
        self.is_restored = False

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> OperatorListState:
        """After a restore with another parallelism, the elements of all subtasks are distributed in turn."""
        return self._state(state_descriptor, Redistribution.SPLIT_DISTRIBUTE)

    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> OperatorListState:
        """After a restore, every subtask gets the elements of all subtasks."""
        return self._state(state_descriptor, Redistribution.UNION)

    def snapshot(self) -> dict[str, OperatorStatePart]:
        """The states by name. Elements are not copied."""
        return {
            name: OperatorStatePart(part.redistribution, list(part.elements), part.type_text)
            for name, part in self._parts.items()
        }

    def restore(self, snapshot: Mapping[str, OperatorStatePart]) -> None:
        """Restores what `redistributed` assigned to this subtask."""
        self._parts = {
            name: OperatorStatePart(part.redistribution, list(part.elements), part.type_text)
            for name, part in snapshot.items()
        }
        self.is_restored = True

    def _state(self, descriptor: ListStateDescriptor, redistribution: Redistribution) -> OperatorListState:
        wanted = OperatorStatePart(redistribution, [], repr(descriptor.type_info))
        part = self._parts.setdefault(descriptor.name, wanted)
        if (part.redistribution, part.type_text) != (wanted.redistribution, wanted.type_text):
            kind, was = (StateMismatchError, "was saved as") if self.is_restored else (TypeMismatchError, "is")
            raise kind(
                f"the operator state '{descriptor.name}' is requested as {redistribution.value} list of "
                f"{wanted.type_text}, but it {was} a {part.redistribution.value} list of {part.type_text}: give the "
                "new state another name"
            )
        return OperatorListState(part.elements)


def redistributed(
    snapshots: Sequence[dict[str, OperatorStatePart]], parallelism: int
) -> list[dict[str, OperatorStatePart]]:
    """What each of `parallelism` subtasks gets from the snapshots of all former subtasks.

    `snapshots` are in subtask order; empty if a subtask had ended. With unchanged parallelism each subtask
    keeps its own list, because it may be the only one that is restarted. Union states always go to every subtask.
    """
    results: list[dict[str, OperatorStatePart]] = [{} for _ in range(parallelism)]
    names = dict.fromkeys(name for snapshot in snapshots for name in snapshot)
    for name in names:
        parts = [snapshot.get(name) for snapshot in snapshots]
        first = next(part for part in parts if part is not None)
        lists = [part.elements if part is not None else [] for part in parts]
        for subtask, elements in enumerate(_dealt(lists, first.redistribution, parallelism)):
            results[subtask][name] = OperatorStatePart(first.redistribution, elements, first.type_text)
    return results


def _dealt(before: Sequence[list[Any]], redistribution: Redistribution, parallelism: int) -> list[list[Any]]:
    if redistribution is Redistribution.SPLIT_DISTRIBUTE and len(before) == parallelism:
        return [list(elements) for elements in before]
    everything = [element for elements in before for element in elements]
    if redistribution is Redistribution.UNION:
        return [list(everything) for _ in range(parallelism)]
    return [everything[subtask::parallelism] for subtask in range(parallelism)]


register_plain(OperatorStatePart, Redistribution)
