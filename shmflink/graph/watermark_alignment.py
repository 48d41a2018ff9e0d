"""Sources of one group wait for each other: limits how far each may run ahead (FLIP-182, FLIP-217). Pure."""

from __future__ import annotations

from collections.abc import Callable

from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.graph.job_graph import JobGraph

__all__ = ["AlignmentGroups", "SourceTime"]


@dataclass(frozen=True, slots=True)
class SourceTime:
    """The progress of a source's subtask: its last watermark, MIN_TIMESTAMP_MS before the first."""

    watermark_ms: int
    is_idle: bool


@dataclass(frozen=True, slots=True)
class _Group:
    members: tuple[SubtaskId, ...]
    drift_ms: int


class AlignmentGroups:
    """The groups of one job. Vertices whose strategies name the same group share it, with their smallest drift."""

    def __init__(self, graph: JobGraph) -> None:
        members: dict[str, list[SubtaskId]] = {}
        drifts: dict[str, int] = {}
        intervals: list[int] = []
        for vertex in graph.vertices:
            alignment = vertex.operators[0].alignment
            if alignment is None:
                continue
            name, drift_ms, interval_ms = alignment
            members.setdefault(name, []).extend(SubtaskId(vertex.index, i) for i in range(vertex.parallelism))
            drifts[name] = min(drift_ms, drifts.get(name, drift_ms))
            intervals.append(interval_ms)
        self._groups = [_Group(tuple(subtasks), drifts[name]) for name, subtasks in members.items()]
        self.interval_ms = min(intervals) if intervals else None

    def limits(self, time_of: Callable[[SubtaskId], SourceTime | None]) -> dict[SubtaskId, int]:
        """The watermark up to which each subtask may read.

        `time_of` returns None for a subtask that has ended. An idle subtask, or one without a watermark, holds nobody
        back.
        """
        limits: dict[SubtaskId, int] = {}
        for group in self._groups:
            times = [time_of(subtask) for subtask in group.members]
            counted = [t.watermark_ms for t in times if t and not t.is_idle and t.watermark_ms != MIN_TIMESTAMP_MS]
            least = min(counted, default=MAX_WATERMARK.timestamp_ms)
            limit = min(least + group.drift_ms, MAX_WATERMARK.timestamp_ms)
            limits |= dict.fromkeys(group.members, limit)
        return limits
