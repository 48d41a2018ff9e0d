"""How `shmflink run` reports its jobs: Flink's lines, or on a terminal a live view and a final table."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any, TypeAlias

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

from . import numbers
from .checkpoints import delivery_text, end_text
from .job_view import JobView
from .live_region import LiveRegion, TerminalStreams
from .summary import RunRecord

Streams: TypeAlias = tuple[int | None, int | None]

__all__ = ["PlainReporter", "TerminalReporter", "reporter_for"]


class PlainReporter:
    """Prints the lines of Flink's client on standard error, so that standard output has only the job's own output."""

    wants_progress = True
    streams: Streams = (None, None)
    """Processes of the cluster write to this process's streams."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._names: dict[str, str] = {}

    def job_submitted(self, graph: JobGraph) -> None:
        self._names[str(graph.job_id)] = graph.name
        self._line(f"Job has been submitted with JobID {graph.job_id}")
        if delivery := delivery_text(graph, graph.configuration):
            self._line(f"Delivery guarantee: {delivery}")

    def job_progressed(self, progress: JobProgress) -> None:
        """Does nothing: a log file has no use for a line that changes."""

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
        """Releases nothing: this reporter holds no resources."""

    @staticmethod
    def _line(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the log's disk is full or its reader gone: the job continues
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class TerminalReporter:
    """A live view while a job runs; at its end, a table of its tasks and of where their time went.

    All other output appears above the view.
    """

    wants_progress = True

    def __init__(self, record: RunRecord) -> None:
        from rich.console import Console

        self._record = record
        self._console = Console(stderr=True, highlight=False)
        self._region = LiveRegion(self._console)
        self._streams = TerminalStreams(self._region)
        self._lock = threading.Lock()
        self._view: JobView | None = None

    @property
    def streams(self) -> Streams:
        """Standard output and error for the cluster's processes; None: they inherit this process's."""
        return self._streams.for_processes

    def job_submitted(self, graph: JobGraph) -> None:
        with self._lock:
            self._region.hide()
            now_ns = SYSTEM_CLOCK.monotonic_ns()
            self._view = JobView(graph, now_ns)
            self._print(f"[dim]job[/dim] {graph.job_id} [bold]{_plain(graph.name)}[/bold]")
            if delivery := delivery_text(graph, graph.configuration):
                self._print(f"delivery guarantee: {delivery}", style="dim", markup=False)
            self._show(self._view, now_ns)

    def job_progressed(self, progress: JobProgress) -> None:
        with self._lock:
            if self._view is None:
                return
            now_ns = SYSTEM_CLOCK.monotonic_ns()
            self._view.progressed(progress, now_ns)
            self._show(self._view, now_ns)

    def job_ended(self, ended: JobEnded) -> None:
        self._streams.drain()
        with self._lock:
            self._region.hide()
            view, self._view = self._view, None
            self._record.jobs.append((view.name if view else "", ended))
            if str(ended.state) == "FAILED" or view is None:
                return  # execute() raises an error with all details
            seconds = max(ended.runtime_ms, 1) / 1000
            color = "green" if str(ended.state) == "FINISHED" else "yellow"
            state = str(ended.state).lower()
            self._print(f"[{color}]{state}[/{color}] in {numbers.elapsed(seconds)}: {view.ended_text(ended)}")
            self._print(view.ended(ended, self._region.size[0]))

    def cluster_says(self, text: str) -> None:
        self._print(text, style="yellow", markup=False)

    def close(self) -> None:
        """Restores the terminal and the process's streams."""
        with self._lock:
            self._region.hide()
        self._streams.close()

    def _show(self, view: JobView, now_ns: int) -> None:
        self._region.show(view.live(now_ns, *self._region.size))

    def _print(self, picture: Any, **options: Any) -> None:
        self._region.write_above(self._region.rendered(picture, **options).encode(), self)


def reporter_for(record: RunRecord) -> PlainReporter | TerminalReporter:
    """Chosen by the kind of standard error."""
    return TerminalReporter(record) if sys.stderr.isatty() else PlainReporter(record)


def _plain(name: str) -> str:
    """The name with its brackets escaped, so that they are not markup."""
    return name.replace("[", "\\[")
