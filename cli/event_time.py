"""Detects event time that has stopped, and the subtask that holds it back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import TaskSummary

from . import numbers

__all__ = ["EventTime"]

_STILL_NS: Final = 5_000_000_000  # reported after this time
_YEAR_9999_MS: Final = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class _Holder:
    """A subtask that lags behind all its inputs."""

    task: TaskSummary
    parallelism: int

    def __str__(self) -> str:
        return f"subtask {self.task.subtask + 1}/{self.parallelism} of '{self.task.vertex_name}'"


class EventTime:
    """Follows the watermarks of one job. The caller passes times as monotonic nanoseconds."""

    def __init__(self, upstream: Mapping[int, Sequence[int]]) -> None:
        """`upstream` maps each vertex to the vertices that feed it."""
        self._upstream = upstream
        self._last: dict[int, tuple[int, int, int]] = {}  # by vertex: watermark, since when, rows read at that time
        self._text = ""

    def seen(self, tasks: Sequence[TaskSummary], now_ns: int) -> None:
        """Takes new counters."""
        subtasks: dict[int, list[TaskSummary]] = {}
        for task in tasks:
            subtasks.setdefault(task.vertex, []).append(task)
        still = [vertex for vertex, group in subtasks.items() if self._is_still(vertex, group, now_ns)]
        self._text = self._told(max(still), subtasks, now_ns) if still else ""

    def text(self) -> str:
        """`The watermark of 'Window' stands at 2026-11-30 12:00:03 for 0:12, held by subtask 2/4 of 'Source: clicks'`;
        empty if event time advances or is not used.
        """
        return self._text

    def _is_still(self, vertex: int, group: Sequence[TaskSummary], now_ns: int) -> bool:
        watermark = _least(group)
        rows = sum(max(task.records_in, task.records_out) for task in group)
        if watermark is None or watermark >= MAX_WATERMARK.timestamp_ms:
            self._last.pop(vertex, None)
            return False
        before = self._last.get(vertex)
        if before is None or before[0] != watermark or rows < before[2]:
            self._last[vertex] = (watermark, now_ns, rows)
            return False
        return rows > before[2] and now_ns - before[1] >= _STILL_NS

    def _told(self, vertex: int, subtasks: Mapping[int, Sequence[TaskSummary]], now_ns: int) -> str:
        group = subtasks[vertex]
        watermark, since_ns, _ = self._last[vertex]
        holder = self._holder(vertex, subtasks)
        is_used = any(_known(task) for one in self._above(vertex) for task in subtasks.get(one, ()))
        if holder is None or not is_used:
            return ""
        age = numbers.elapsed((now_ns - since_ns) / 1e9)
        name = group[0].vertex_name
        if watermark == MIN_TIMESTAMP_MS:
            return f"'{name}' has had no watermark for {age}: {holder} has emitted none"
        return f"The watermark of '{name}' has been at {_time(watermark)} for {age}, held by {holder}"

    def _above(self, vertex: int) -> set[int]:
        """The vertex and everything upstream of it."""
        found, rest = {vertex}, [vertex]
        while rest:
            fresh = set(self._upstream.get(rest.pop(), ())) - found
            found |= fresh
            rest += fresh
        return found

    def _holder(self, vertex: int, subtasks: Mapping[int, Sequence[TaskSummary]]) -> _Holder | None:
        """Walks toward the sources as long as the input of a vertex lags as much as its output."""
        seen: set[int] = set()
        while vertex not in seen:
            seen.add(vertex)
            least = _least(subtasks[vertex])
            before = [one for one in self._upstream.get(vertex, ()) if _least(subtasks.get(one, ())) is not None]
            behind = min(before, key=lambda one: _least(subtasks[one]) or 0, default=None)
            if behind is None or least is None or (_least(subtasks[behind]) or 0) > least:
                break
            vertex = behind
        group = [task for task in subtasks[vertex] if task.watermark_ms is not None and not task.is_idle]
        if not group:
            return None
        return _Holder(min(group, key=lambda task: task.watermark_ms or 0), len(subtasks[vertex]))


def _known(task: TaskSummary) -> bool:
    return task.watermark_ms is not None and MIN_TIMESTAMP_MS < task.watermark_ms < MAX_WATERMARK.timestamp_ms


def _least(group: Sequence[TaskSummary]) -> int | None:
    """The watermark of a task: the minimum over its subtasks that are not idle."""
    return min((t.watermark_ms for t in group if t.watermark_ms is not None and not t.is_idle), default=None)


def _time(ms: int) -> str:
    if not 0 <= ms <= _YEAR_9999_MS:
        return f"{ms} ms"
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
