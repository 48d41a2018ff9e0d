"""What `shmflink run` shows of its jobs: Flink's lines, or on a terminal a live picture and a table."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

from . import numbers
from .checkpoints import delivery_text, end_text
from .job_view import JobView
from .summary import RunRecord, by_task, rows_of

__all__ = ["PlainReporter", "TerminalReporter", "reporter_for"]


class PlainReporter:
    """The lines of Flink's client, on standard error so that the job's own output stays clean."""

    wants_progress = True

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._names: dict[str, str] = {}

    def job_submitted(self, graph: JobGraph) -> None:
        self._names[str(graph.job_id)] = graph.name
        self._line(f"Job has been submitted with JobID {graph.job_id}")
        if delivery := delivery_text(graph, graph.configuration):
            self._line(f"Delivery guarantee: {delivery}")

    def job_progressed(self, progress: JobProgress) -> None:
        """A log file has no use for a line that changes."""

    def job_ended(self, ended: JobEnded) -> None:
        self._record.jobs.append((self._names.get(str(ended.job_id), ""), ended))
        if str(ended.state) == "FINISHED":
            self._line(f"Job with JobID {ended.job_id} has finished.")
            self._line(f"Job Runtime: {ended.runtime_ms} ms")
        else:
            self._line(f"Job with JobID {ended.job_id} is {ended.state} after {ended.runtime_ms} ms.")
        if text := end_text(ended):
            self._line(f"{text[0].upper()}{text[1:]}")

    def cluster_says(self, text: str) -> None:
        self._line(text)

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _line(text: str) -> None:
        with contextlib.suppress(OSError):  # the log's disk is full, its reader gone: the job goes on
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class TerminalReporter:
    """A live picture while a job runs; at its end a table of its tasks and where their time went."""

    wants_progress = True

    def __init__(self, record: RunRecord) -> None:
        from rich.console import Console

        self._record = record
        self._console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._live: Any = None
        self._view: JobView | None = None

    def job_submitted(self, graph: JobGraph) -> None:
        from rich.live import Live

        with self._lock:
            self._stop_live()
            now_ns = SYSTEM_CLOCK.monotonic_ns()
            self._view = JobView(graph, now_ns)
            self._console.print(f"[dim]job[/dim] {graph.job_id} [bold]{graph.name}[/bold]")
            if delivery := delivery_text(graph, graph.configuration):
                self._console.print(f"delivery guarantee: {delivery}", style="dim", markup=False)
            # What the job itself prints stays the job's: nothing is captured.
            self._live = Live(
                self._view.live(now_ns, self._console.height),
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def job_progressed(self, progress: JobProgress) -> None:
        with self._lock:
            if self._live is None or self._view is None:
                return
            now_ns = SYSTEM_CLOCK.monotonic_ns()
            self._view.progressed(progress, now_ns)
            self._live.update(self._view.live(now_ns, self._console.height), refresh=True)

    def job_ended(self, ended: JobEnded) -> None:
        with self._lock:
            self._stop_live()
            view, self._view = self._view, None
            self._record.jobs.append((view.name if view else "", ended))
            if str(ended.state) == "FAILED" or view is None:
                return  # the error that execute() raises says it all
            rows = rows_of(by_task(ended.tasks))
            seconds = max(ended.runtime_ms, 1) / 1000
            colour = "green" if str(ended.state) == "FINISHED" else "yellow"
            self._console.print(
                f"[{colour}]{str(ended.state).lower()}[/{colour}] in {numbers.elapsed(seconds)}: "
                f"{numbers.count(rows)} rows, {numbers.count(rows / seconds)} rows/s"
            )
            self._console.print(view.ended(ended))

    def cluster_says(self, text: str) -> None:
        self._console.print(text, style="yellow", markup=False)

    def close(self) -> None:
        """Gives the terminal's lines back."""
        with self._lock:
            self._stop_live()

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def reporter_for(record: RunRecord) -> PlainReporter | TerminalReporter:
    """By what standard error is."""
    return TerminalReporter(record) if sys.stderr.isatty() else PlainReporter(record)
