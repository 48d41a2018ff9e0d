"""The snapshot that a task takes at a barrier, and the state from which it resumes, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from shmflink.core.elements import Barrier, Element
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.state.snapshots import OperatorSnapshot, RestoredState

__all__ = ["NOT_RESTORED", "TaskRestore", "TaskSnapshot"]


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """The snapshot of a task for one barrier: state by operator id, and in-flight elements as (edge, producer,
    elements).
    """

    subtask: SubtaskId
    barrier: Barrier
    operators: tuple[tuple[str, OperatorSnapshot], ...]
    channels: tuple[tuple[int, int, list[Element]], ...] = ()
    key_groups: range = range(0)
    sync_ns: int = 0
    alignment_ns: int = 0


@dataclass(frozen=True, slots=True)
class TaskRestore:
    """The state from which a task resumes: state by operator id, and in-flight elements. `is_finished`: all subtasks of
    its vertex had ended.
    """

    states: Mapping[str, RestoredState] = field(default_factory=dict)
    channels: tuple[tuple[int, int, Sequence[Element]], ...] = ()
    is_finished: bool = False

    def elements(self, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Element]]:
        """(channel, element); the elements of a producer that no longer exists arrive on another channel of the edge.

        `places`: (edge, producing subtask) of each channel.
        """
        for edge, producer, elements in self.channels:
            of_edge = [channel for channel, place in enumerate(places) if place[0] == edge]
            channel = next((c for c in of_edge if places[c][1] == producer), of_edge[producer % len(of_edge)])
            for element in elements:
                yield channel, element


NOT_RESTORED: Final = TaskRestore()
