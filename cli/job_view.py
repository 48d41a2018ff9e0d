"""A running job as a picture for the terminal: operators, rates, what holds them up, how far the input is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import CheckpointSummary, JobEnded, JobProgress, SourceProgress

from . import numbers
from .bottleneck import bottleneck
from .checkpoints import checkpoint_text, end_text, restarts_text
from .summary import OperatorTotals, TaskTotals, by_task, rows_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["JobView"]

_WINDOW_NS: Final = 2_000_000_000  # rates and shares are those of this much time
_BAR_CELLS: Final = 12
_PROGRESS_CELLS: Final = 28
_TIME_LEFT_FROM: Final = 0.02  # of the input: before, nothing can be said of the rest
_TIME_LINES_MAX: Final = 8
_COLOURS: Final = (("busy", "green"), ("held up", "yellow"), ("idle", "bright_black"))


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    tasks: list[TaskTotals]


class JobView:
    """What is known of one job. Times are monotonic nanoseconds that the caller gives."""

    def __init__(self, graph: JobGraph, now_ns: int) -> None:
        self.name = graph.name
        self._upstream = _upstream(graph)
        self._began_ns = now_ns
        self._samples: deque[_Sample] = deque()
        self._sources: tuple[SourceProgress, ...] = ()
        self._calls: tuple[str, ...] = ()
        self._checkpoints: CheckpointSummary | None = None
        self._restarts = 0

    def progressed(self, progress: JobProgress, now_ns: int) -> None:
        """Takes new counters; forgets those older than the window."""
        self._samples.append(_Sample(now_ns, by_task(progress.tasks)))
        while len(self._samples) > 2 and now_ns - self._samples[1].at_ns >= _WINDOW_NS:
            self._samples.popleft()
        if progress.restarts != self._restarts:  # counters begin anew with the attempt
            self._samples = deque([self._samples[-1]])
        self._sources = progress.sources
        self._calls = progress.calls
        self._checkpoints = progress.checkpoints
        self._restarts = progress.restarts

    def live(self, now_ns: int, height: int) -> RenderableType:
        """The picture while the job runs, in at most `height` lines: tasks alone where operators do not fit."""
        from rich.console import Group
        from rich.text import Text

        seconds = (now_ns - self._began_ns) / 1e9
        if not self._samples:
            return Text(f"starting  {numbers.elapsed(seconds)}")
        tasks, recent, span_s = self._now()
        lines = len(tasks) + sum(len(task.operators) for task in tasks if len(task.operators) > 1)
        table = _table(tasks, recent, span_s, with_operators=lines + len(self._sources) + 5 <= height)
        rows = rows_of(tasks)
        head = (
            f"{numbers.count(rows)} rows  {numbers.count(rows_of(recent) / span_s)} rows/s  {numbers.elapsed(seconds)}"
        )
        if self._restarts:
            head += f"  {restarts_text(self._restarts)}"
        parts: list[Any] = [Text(head, style="bold"), table]
        parts += [_progress_line(source, seconds) for source in self._sources if source.total > 0]
        if self._checkpoints is not None:
            parts.append(Text(f"checkpoint {checkpoint_text(self._checkpoints)}"))
        said = self._calls[0] if self._calls else bottleneck(recent, self._upstream)
        parts.append(Text(said, style="italic"))
        return Group(*parts)

    def ended(self, ended: JobEnded) -> RenderableType:
        """What the job did, and where its time went."""
        from rich.console import Group
        from rich.text import Text

        tasks = by_task(ended.tasks)
        seconds = max(ended.runtime_ms, 1) / 1000
        parts: list[Any] = [_table(tasks, tasks, seconds, with_operators=True), *_time_lines(tasks)]
        if text := end_text(ended):
            parts.append(Text(text))
        return Group(*parts)

    def _now(self) -> tuple[list[TaskTotals], list[TaskTotals], float]:
        """Totals, what was added to them lately, and in how many seconds."""
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
        if word.name not in ("vertex", "name", "parallelism", "operators")
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
    return TaskTotals(now.vertex, now.name, now.parallelism, **counters, operators=operators)


def _table(tasks: Sequence[TaskTotals], recent: Sequence[TaskTotals], span_s: float, *, with_operators: bool) -> Table:
    """One line for each task, below it one for each operator of its chain.

    Totals of rows and bytes; rates and shares of `recent`, which is what was added in the last `span_s`.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Task", overflow="ellipsis", max_width=60, no_wrap=True)
    for heading in ("Par.", "Rows in", "Rows out", "Rows/s", "Bytes out"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Time: [green]busy[/] [yellow]held up[/] [bright_black]idle[/]", no_wrap=True)
    for task, lately in zip(tasks, recent, strict=True):
        table.add_row(
            task.name.replace(" -> ", " → "),
            str(task.parallelism),
            numbers.count(task.records_in) if task.records_in else "",
            numbers.count(task.records_out),
            numbers.count(max(lately.records_in, lately.records_out) / span_s),
            numbers.size(task.bytes_out) if task.bytes_out else "",
            _time_bar(lately),
        )
        if with_operators and len(task.operators) > 1:
            for index, (operator, now) in enumerate(zip(task.operators, lately.operators, strict=True)):
                is_last = index == len(task.operators) - 1
                table.add_row(*_operator_cells(operator, now, lately.busy_ns, span_s, is_last=is_last), style="dim")
    return table


def _operator_cells(
    operator: OperatorTotals, lately: OperatorTotals, busy_ns: int, span_s: float, *, is_last: bool
) -> tuple[str, ...]:
    malformed = f"  {numbers.count(operator.malformed_rows)} malformed" if operator.malformed_rows else ""
    return (
        f" {'└' if is_last else '├'} {operator.name}{malformed}",
        "",
        numbers.count(operator.records_in) if operator.records_in else "",
        numbers.count(operator.records_out) if operator.records_out else "",
        numbers.count(max(lately.records_in, lately.records_out) / span_s),
        "",
        f"{numbers.percent(lately.busy_ns, busy_ns)} of busy",
    )


def _time_bar(task: TaskTotals) -> str:
    """Shares of the task's time as a bar and in percent."""
    parts = (task.busy_ns, task.backpressured_ns, task.idle_ns)
    total = sum(parts)
    if not total:
        return ""
    ends = [round(_BAR_CELLS * sum(parts[: i + 1]) / total) for i in range(3)]
    bar = "".join(
        f"[{colour}]{'█' * (end - begin)}[/]"
        for (_, colour), begin, end in zip(_COLOURS, [0, *ends], ends, strict=False)
        if end > begin
    )
    percents = " ".join(
        f"[{colour}]{numbers.percent(part, total)}[/]"
        for (_, colour), part in zip(_COLOURS, parts, strict=True)
        if part >= total / 200
    )
    return f"{bar} {percents}"


def _progress_line(source: SourceProgress, seconds: float) -> str:
    """How much of a bounded source is read, and how long the rest takes at this pace."""
    share = min(1.0, source.done / source.total)
    filled = round(_PROGRESS_CELLS * share)
    left = ""
    if _TIME_LEFT_FROM <= share < 1:
        left = f", about {numbers.elapsed(seconds * (1 - share) / share)} left"
    bar = f"[cyan]{'━' * filled}[/][bright_black]{'━' * (_PROGRESS_CELLS - filled)}[/]"
    return f"input {bar} {100 * share:.0f} %{left}"


def _time_lines(tasks: Sequence[TaskTotals]) -> list[str]:
    """Where the slots' time went, largest first."""
    total_ns = sum(task.busy_ns + task.backpressured_ns + task.idle_ns for task in tasks)
    if not total_ns:
        return []
    spent = [(operator.busy_ns, operator.name) for task in tasks for operator in task.operators]
    spent += [(task.exchange_ns, f"exchange of {task.name}") for task in tasks if task.exchange_ns]
    spent.sort(key=lambda one: -one[0])
    shown = [one for one in spent if one[0] >= total_ns / 100][:_TIME_LINES_MAX]
    shown.append((sum(task.backpressured_ns for task in tasks), "held up by what is behind"))
    shown.append((sum(task.idle_ns for task in tasks), "waiting for input or for the slot"))
    largest = max(ns for ns, _ in shown)
    title = f"[bold]Where the time went[/] (of {numbers.elapsed(total_ns / 1e9)} over all subtasks)"
    return [title, *(_time_line(ns, name, total_ns, largest) for ns, name in shown if ns)]


def _time_line(ns: int, name: str, total_ns: int, largest_ns: int) -> str:
    bar = "█" * max(1, round(_BAR_CELLS * ns / largest_ns)) if largest_ns else ""
    return f"{numbers.percent(ns, total_ns):>6}  [cyan]{bar:<{_BAR_CELLS}}[/]  {name.replace(' -> ', ' → ')}"
