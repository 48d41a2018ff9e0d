"""The live view of a running job: rows read and written, where the time goes, what limits the job."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import CheckpointSummary, JobEnded, JobProgress, SourceProgress

from . import numbers
from .bottleneck import bottleneck, skews
from .checkpoints import checkpoint_text, end_text, restarts_text
from .event_time import EventTime
from .summary import OperatorTotals, TaskTotals, by_task

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["JobView"]

_WINDOW_NS: Final = 2_000_000_000  # rates and shares cover this time span
_BAR_CELLS: Final = 12
_PROGRESS_CELLS: Final = 28
_TIME_LEFT_FROM: Final = 0.02  # of the input; earlier, the rest cannot be estimated
_TIME_LINES_MAX: Final = 8
_WIDE: Final = 110  # columns from which bytes are shown, too
_TASK_CELLS: Final = (16, 60)
_COLUMNS: Final = (  # with fixed widths, so that they do not move
    ("Par.", 4),
    ("Rows\nread", 6),
    ("Rows\nwritten", 7),
    ("Rows/s", 6),
    ("Busy", 5),
    ("Back-\npressured", 9),
    ("Idle", 5),
)
_BYTES_COLUMN: Final = ("Bytes\nwritten", 10)
_COLOURS: Final = ("green", "yellow", "bright_black")


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    tasks: list[TaskTotals]


class JobView:
    """What is known about one job. The caller passes times as monotonic nanoseconds."""

    def __init__(self, graph: JobGraph, now_ns: int) -> None:
        self.name = graph.name
        self._upstream = _upstream(graph)
        self._keyed = frozenset(edge.target for edge in graph.edges if edge.strategy is ShipStrategy.HASH)
        self._event_time = EventTime(self._upstream)
        self._began_ns = now_ns
        self._samples: deque[_Sample] = deque()
        self._sources: tuple[SourceProgress, ...] = ()
        self._calls: tuple[str, ...] = ()
        self._checkpoints: CheckpointSummary | None = None
        self._restarts = 0

    def progressed(self, progress: JobProgress, now_ns: int) -> None:
        """Adds new counters; drops those older than the window."""
        self._samples.append(_Sample(now_ns, by_task(progress.tasks)))
        self._event_time.seen(progress.tasks, now_ns)
        while len(self._samples) > 2 and now_ns - self._samples[1].at_ns >= _WINDOW_NS:
            self._samples.popleft()
        if progress.restarts != self._restarts:  # counters restart with the attempt
            self._samples = deque([self._samples[-1]])
        self._sources = progress.sources
        self._calls = progress.calls
        self._checkpoints = progress.checkpoints
        self._restarts = progress.restarts

    def live(self, now_ns: int, width: int, height: int) -> RenderableType:
        """The view of the running job in at most `height` lines: only tasks if the operators do not fit."""
        from rich.console import Group
        from rich.text import Text

        seconds = (now_ns - self._began_ns) / 1e9
        if not self._samples:
            return Text(f"starting  {numbers.elapsed(seconds)}")
        tasks, recent, span_s = self._now()
        lines = len(tasks) + sum(len(task.operators) for task in tasks if len(task.operators) > 1)
        has_room = lines + len(self._sources) + 8 <= height
        parts: list[Any] = [
            Text(self._head(tasks, recent, span_s, seconds), style="bold"),
            _table(tasks, recent, span_s, width, with_operators=has_room),
        ]
        parts += [_progress_line(source, seconds) for source in self._sources if source.total > 0]
        if self._checkpoints is not None:
            parts.append(Text(f"checkpoint {checkpoint_text(self._checkpoints)}"))
        limit = self._calls[0] if self._calls else bottleneck(recent, self._upstream)
        said = [limit, *skews(recent, self._keyed), self._event_time.text()]
        parts += [Text(text, style="italic") for text in said if text]
        return Group(*parts)

    def _head(self, tasks: Sequence[TaskTotals], recent: Sequence[TaskTotals], span_s: float, seconds: float) -> str:
        read, written = self._ends(tasks)
        lately, _ = self._ends(recent)
        head = (
            f"{numbers.count(read)} rows read  {numbers.count(written)} written  "
            f"{numbers.count(lately / span_s)} rows/s  {numbers.elapsed(seconds)}"
        )
        return f"{head}  {restarts_text(self._restarts)}" if self._restarts else head

    def _ends(self, tasks: Sequence[TaskTotals]) -> tuple[int, int]:
        """Rows that entered the job and rows that left it."""
        feeding = {vertex for sources in self._upstream.values() for vertex in sources}
        read = sum(task.rows_read for task in tasks if not self._upstream.get(task.vertex))
        return read, sum(task.rows_written for task in tasks if task.vertex not in feeding)

    def ended_text(self, ended: JobEnded) -> str:
        """`84.5 M rows read, 412 k written, 31.2 M rows/s`."""
        read, written = self._ends(by_task(ended.tasks))
        rate = numbers.count(read / (max(ended.runtime_ms, 1) / 1000))
        return f"{numbers.count(read)} rows read, {numbers.count(written)} written, {rate} rows/s"

    def ended(self, ended: JobEnded, width: int) -> RenderableType:
        """What the job did and where its time went."""
        from rich.console import Group
        from rich.text import Text

        tasks = by_task(ended.tasks)
        seconds = max(ended.runtime_ms, 1) / 1000
        parts: list[Any] = [_table(tasks, tasks, seconds, width, with_operators=True), *_time_lines(tasks)]
        parts += [Text(text) for text in skews(tasks, self._keyed)]
        if text := end_text(ended):
            parts.append(Text(text))
        return Group(*parts)

    def _now(self) -> tuple[list[TaskTotals], list[TaskTotals], float]:
        """Totals, recent increases, and the seconds that these cover."""
        first, last = self._samples[0], self._samples[-1]
        if first is last:
            return last.tasks, last.tasks, max((last.at_ns - self._began_ns) / 1e9, 1e-3)
        before = {task.vertex: task for task in first.tasks}
        return (
            last.tasks,
            [_difference(task, before[task.vertex]) for task in last.tasks],
            max((last.at_ns - first.at_ns) / 1e9, 1e-3),
        )


def _upstream(graph: JobGraph) -> Mapping[int, Sequence[int]]:
    upstream: dict[int, list[int]] = {}
    for edge in graph.edges:
        upstream.setdefault(edge.target, []).append(edge.source)
    return upstream


def _difference(now: TaskTotals, before: TaskTotals) -> TaskTotals:
    counters = {
        word.name: getattr(now, word.name) - getattr(before, word.name)
        for word in fields(TaskTotals)
        if word.name not in ("vertex", "name", "parallelism", "operators", "subtask_rows", "subtask_busy_ns")
    }
    former = before.operators or [OperatorTotals(operator.name) for operator in now.operators]
    operators = [
        OperatorTotals(
            a.name,
            a.records_in - b.records_in,
            a.records_out - b.records_out,
            a.busy_ns - b.busy_ns,
            a.malformed_rows - b.malformed_rows,
        )
        for a, b in zip(now.operators, former, strict=True)
    ]
    rows = [a - b for a, b in zip(now.subtask_rows, before.subtask_rows, strict=True)]
    busy_ns = [a - b for a, b in zip(now.subtask_busy_ns, before.subtask_busy_ns, strict=True)]
    return TaskTotals(
        now.vertex,
        now.name,
        now.parallelism,
        **counters,
        operators=operators,
        subtask_rows=rows,
        subtask_busy_ns=busy_ns,
    )


def _table(
    tasks: Sequence[TaskTotals], recent: Sequence[TaskTotals], span_s: float, width: int, *, with_operators: bool
) -> Table:
    """One line per task and, below it, one per operator of its chain; in `width` columns.

    Shows totals of rows and bytes; rates and shares come from `recent`, the increase over the last `span_s`.
    """
    from rich.table import Table

    is_wide = width >= _WIDE
    columns = [*_COLUMNS, *([_BYTES_COLUMN] if is_wide else [])]
    gap = 2 if is_wide else 1
    left = width - sum(cells + gap for _, cells in columns)
    names = [task.name for task in tasks] + [one.name for task in tasks for one in task.operators]
    longest = max(map(len, names), default=0) + len(" └ ")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    task_cells = min(max(left, _TASK_CELLS[0]), _TASK_CELLS[1], max(longest, _TASK_CELLS[0]))
    table.add_column("Task", overflow="ellipsis", width=task_cells, no_wrap=True)
    for heading, cells in columns:
        table.add_column(heading, justify="right", width=cells, no_wrap=True)
    for task, lately in zip(tasks, recent, strict=True):
        table.add_row(*_task_cells(task, lately, span_s), *([_size(task.bytes_out)] if is_wide else []))
        if with_operators and len(task.operators) > 1:
            for index, (operator, now) in enumerate(zip(task.operators, lately.operators, strict=True)):
                is_last = index == len(task.operators) - 1
                table.add_row(*_operator_cells(operator, now, lately, span_s, is_last=is_last), style="dim")
    return table


def _task_cells(task: TaskTotals, lately: TaskTotals, span_s: float) -> tuple[str, ...]:
    parts = (lately.busy_ns, lately.backpressured_ns, lately.idle_ns)
    shares = (numbers.percent(part, sum(parts)) if sum(parts) else "" for part in parts)
    return (
        task.name.replace(" -> ", " → "),
        str(task.parallelism),
        numbers.count(task.rows_read),
        numbers.count(task.rows_written),
        numbers.count(max(lately.rows_read, lately.rows_written) / span_s),
        *(f"[{color}]{share}[/]" if share else "" for color, share in zip(_COLOURS, shares, strict=True)),
    )


def _operator_cells(
    operator: OperatorTotals, lately: OperatorTotals, task: TaskTotals, span_s: float, *, is_last: bool
) -> tuple[str, ...]:
    """An operator's own share of the task's time is in the column "Busy"."""
    malformed = f"  {numbers.count(operator.malformed_rows)} malformed" if operator.malformed_rows else ""
    total_ns = task.busy_ns + task.backpressured_ns + task.idle_ns
    return (
        f" {'└' if is_last else '├'} {operator.name}{malformed}",
        "",
        numbers.count(operator.rows_read),
        numbers.count(operator.rows_written),
        numbers.count(max(lately.records_in, lately.records_out) / span_s),
        numbers.percent(lately.busy_ns, total_ns) if total_ns else "",
    )


def _size(count: int) -> str:
    return numbers.size(count) if count else ""


def _progress_line(source: SourceProgress, seconds: float) -> str:
    """How much of a bounded source has been read, and how long the rest takes at this rate."""
    share = min(1.0, source.done / source.total)
    filled = round(_PROGRESS_CELLS * share)
    left = ""
    if _TIME_LEFT_FROM <= share < 1:
        left = f", about {numbers.elapsed(seconds * (1 - share) / share)} left"
    bar = f"[cyan]{'━' * filled}[/][bright_black]{'━' * (_PROGRESS_CELLS - filled)}[/]"
    return f"input {bar} {100 * share:.0f} %{left}"


def _time_lines(tasks: Sequence[TaskTotals]) -> list[str]:
    """Where the slots' time went, largest part first."""
    total_ns = sum(task.busy_ns + task.backpressured_ns + task.idle_ns for task in tasks)
    if not total_ns:
        return []
    spent = [(operator.busy_ns, operator.name) for task in tasks for operator in task.operators]
    spent += [(task.exchange_ns, f"exchange of {task.name}") for task in tasks if task.exchange_ns]
    spent.sort(key=lambda one: -one[0])
    shown = [one for one in spent if one[0] >= total_ns / 100][:_TIME_LINES_MAX]
    shown.append((sum(task.backpressured_ns for task in tasks), "back-pressured"))
    shown.append((sum(task.idle_ns for task in tasks), "idle: waiting for input or for the slot"))
    largest = max(ns for ns, _ in shown)
    title = f"[bold]Where the time went[/] (of {numbers.elapsed(total_ns / 1e9)} over all subtasks)"
    return [title, *(_time_line(ns, name, total_ns, largest) for ns, name in shown if ns)]


def _time_line(ns: int, name: str, total_ns: int, largest_ns: int) -> str:
    bar = "█" * max(1, round(_BAR_CELLS * ns / largest_ns)) if largest_ns else ""
    return f"{numbers.percent(ns, total_ns):>6}  [cyan]{bar:<{_BAR_CELLS}}[/]  {name.replace(' -> ', ' → ')}"
