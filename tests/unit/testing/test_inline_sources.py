"""Split enumerators of an inline job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from shmflink.connectors.base import Source, SourceReader, Split, SplitEnumerator
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.serialization.codec import dumps_function
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.operators.base import OperatorContext
from shmflink.taskmanager.slot import Slot
from shmflink.testing.inline_sources import InlineSources

TASK = SubtaskId(0, 0)
SPLITS: list[Split] = []
"""What the enumerators can hand out now."""
ENDED: list[bool] = []
CLOSED: list[bool] = []


class Growing(Source):
    """Splits appear while the job runs."""

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        return _Enumerator()

    def create_reader(self, context: OperatorContext) -> SourceReader:
        raise NotImplementedError


class _Enumerator(SplitEnumerator):
    def next_split(self, subtask: int) -> Split | None:
        return SPLITS.pop(0) if SPLITS else None

    @property
    def is_exhausted(self) -> bool:
        return bool(ENDED)

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        raise NotImplementedError

    def snapshot(self) -> None:
        return

    def close(self) -> None:
        CLOSED.append(True)


class Assigned:
    """A slot that notes what its tasks are assigned."""

    def __init__(self) -> None:
        self.splits: list[tuple[Split | None, bool]] = []

    def assign_split(self, _subtask: SubtaskId, split: Split | None, *, exhausted: bool) -> None:
        self.splits.append((split, exhausted))


def sources_of(slot: Assigned) -> InlineSources:
    SPLITS.clear()
    ENDED.clear()
    CLOSED.clear()
    operator = ChainedOperator("a" * 32, "orders", "", "orders", NodeKind.SOURCE, dumps_function(Growing(), "orders"))
    vertex = JobVertex(0, "orders", 1, 128, "default", None, (operator,))
    sources = InlineSources(JobGraph(JobId("b" * 32), "job", False, (vertex,), ()), lambda _: cast("Slot", slot))
    sources.open()
    return sources


def test_a_request_stays_open_until_there_is_a_split() -> None:
    slot = Assigned()
    sources = sources_of(slot)
    sources.request_split(TASK)
    sources.retry()
    assert slot.splits == []
    assert sources.are_waiting
    SPLITS.append(Split("1", None))
    sources.retry()
    assert slot.splits == [(Split("1", None), False)]
    assert not sources.are_waiting


def test_a_request_after_the_last_split_is_answered_with_the_end() -> None:
    slot = Assigned()
    sources = sources_of(slot)
    ENDED.append(True)
    sources.request_split(TASK)
    assert slot.splits == [(None, True)]


def test_enumerators_are_closed_once() -> None:
    sources = sources_of(Assigned())
    sources.close()
    sources.close()
    assert CLOSED == [True]
