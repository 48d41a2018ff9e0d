"""The sources of an inline job as its JobManager sees them: enumerators of splits, alignment of watermarks."""

from __future__ import annotations

from collections.abc import Callable

from shmflink.connectors.base import SplitEnumerator
from shmflink.core.ids import SubtaskId
from shmflink.core.serialization.codec import loads_trusted
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.watermark_alignment import AlignmentGroups, SourceTime
from shmflink.taskmanager.slot import Slot

__all__ = ["InlineSources"]


class InlineSources:
    """Of one job. `slot_of` finds the slot of a task."""

    def __init__(self, graph: JobGraph, slot_of: Callable[[SubtaskId], Slot]) -> None:
        self._vertices = [vertex for vertex in graph.vertices if vertex.is_source]
        self._slot_of = slot_of
        self._enumerators: dict[int, SplitEnumerator] = {}
        self._open_requests: list[SubtaskId] = []
        self._alignment = AlignmentGroups(graph)
        self._aligned_ns = 0

    # --- splits ---

    def open(self) -> None:
        """Makes an enumerator for each source."""
        self._enumerators = {
            vertex.index: loads_trusted(vertex.operators[0].payload).create_enumerator(vertex.parallelism)
            for vertex in self._vertices
        }

    def request_split(self, subtask: SubtaskId) -> None:
        """Asks the enumerator at once. A request that it cannot answer now stays open."""
        enumerator = self._enumerators[subtask.vertex]
        split = enumerator.next_split(subtask.subtask)
        exhausted = split is None and enumerator.is_exhausted
        if split is None and not exhausted:
            self._open_requests.append(subtask)
        else:
            self._slot_of(subtask).assign_split(subtask, split, exhausted=exhausted)

    def retry(self) -> None:
        """Asks again for the open requests."""
        requests, self._open_requests = self._open_requests, []
        for subtask in requests:
            self.request_split(subtask)

    @property
    def are_waiting(self) -> bool:
        """Whether `retry` or `align` may have something to do although no task runs."""
        return bool(self._open_requests) or self._alignment.interval_ms is not None

    def close(self) -> None:
        """Idempotent."""
        enumerators, self._enumerators = self._enumerators, {}
        for enumerator in enumerators.values():
            enumerator.close()

    # --- watermark alignment ---

    def align(self, now_ns: int, time_of: Callable[[SubtaskId], SourceTime | None]) -> None:
        """Once an interval, tells sources that wait for others how far these are. `time_of` a subtask: None if it does
        not run.
        """
        interval_ms = self._alignment.interval_ms
        if interval_ms is None or now_ns < self._aligned_ns + interval_ms * 1_000_000:
            return
        self._aligned_ns = now_ns
        for subtask, limit_ms in self._alignment.limits(time_of).items():
            self._slot_of(subtask).align(subtask, limit_ms)
