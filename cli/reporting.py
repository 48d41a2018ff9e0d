"""What `shmflink run` shows of its jobs: Flink's lines, or on a terminal a live line and a table."""

from __future__ import annotations

import sys
import threading
from typing import Any

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

from . import numbers
from .summary import RunRecord, rows_of, table_of

__all__ = ["PlainReporter", "TerminalReporter", "reporter_for"]


class PlainReporter:
    """The lines of Flink's client, on standard error so that the job's own output stays clean."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._names: dict[str, str] = {}

    def job_submitted(self, graph: JobGraph) -> None:
        self._names[str(graph.job_id)] = graph.name
        self._line(f"Job has been submitted with JobID {graph.job_id}")

    def job_progressed(self, progress: JobProgress) -> None:
        """A log file has no use for a line that changes."""

    def job_ended(self, ended: JobEnded) -> None:
        self._record.jobs.append((self._names.get(str(ended.job_id), ""), ended))
        if str(ended.state) == "FINISHED":
            self._line(f"Job with JobID {ended.job_id} has finished.")
            self._line(f"Job Runtime: {ended.runtime_ms} ms")
        else:
            self._line(f"Job with JobID {ended.job_id} is {ended.state} after {ended.runtime_ms} ms.")

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _line(text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class TerminalReporter:
    """A live line while a job runs (rows, rows per second, time), a table of its tasks at the end."""

    def __init__(self, record: RunRecord) -> None:
        from rich.console import Console

        self._record = record
        self._console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._status: Any = None
        self._name = ""
        self._started_ns = 0
        self._last = (0, 0)  # rows, monotonic ns
        self._rate = 0.0

    def job_submitted(self, graph: JobGraph) -> None:
        with self._lock:
            self._name = graph.name
            self._started_ns = SYSTEM_CLOCK.monotonic_ns()
            self._last, self._rate = (0, self._started_ns), 0.0
            self._console.print(f"[dim]job[/dim] {graph.job_id} [bold]{graph.name}[/bold]")
            self._status = self._console.status("starting", spinner="dots")
            self._status.start()

    def job_progressed(self, progress: JobProgress) -> None:
        with self._lock:
            if self._status is not None:
                self._status.update(self._live_line(rows_of(progress.tasks), SYSTEM_CLOCK.monotonic_ns()))

    def _live_line(self, rows: int, now_ns: int) -> str:
        last_rows, last_ns = self._last
        if now_ns - last_ns >= 500_000_000:
            self._rate = (rows - last_rows) * 1e9 / (now_ns - last_ns)
            self._last = (rows, now_ns)
        seconds = (now_ns - self._started_ns) / 1e9
        return f"{numbers.count(rows)} rows  {numbers.count(self._rate)} rows/s  {numbers.elapsed(seconds)}"

    def job_ended(self, ended: JobEnded) -> None:
        with self._lock:
            self._stop_status()
            self._record.jobs.append((self._name, ended))
            if str(ended.state) == "FAILED":
                return  # the error that execute() raises says it all
            rows = rows_of(ended.tasks)
            seconds = max(ended.runtime_ms, 1) / 1000
            colour = "green" if str(ended.state) == "FINISHED" else "yellow"
            self._console.print(
                f"[{colour}]{str(ended.state).lower()}[/{colour}] in {numbers.elapsed(seconds)}: "
                f"{numbers.count(rows)} rows, {numbers.count(rows / seconds)} rows/s"
            )
            self._console.print(table_of(ended))

    def close(self) -> None:
        """Gives the terminal's line back."""
        with self._lock:
            self._stop_status()

    def _stop_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def reporter_for(record: RunRecord) -> PlainReporter | TerminalReporter:
    """By what standard error is."""
    return TerminalReporter(record) if sys.stderr.isatty() else PlainReporter(record)
