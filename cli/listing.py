"""`shmflink list`: Flink's lines, or a table of running jobs on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shmflink.client.control_client import RunningJob, survey
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.rpc.runtime_folder import runtime_folders
from shmflink.rpc.states import JobState

from . import numbers
from .checkpoints import checkpoint_text

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["as_lines", "as_table", "list_jobs"]

_RULER: Final = 62
_SHORT_ID: Final = 12
_WIDE: Final = 150  # columns from which whole ids are shown


def list_jobs(*, running: bool, scheduled: bool, everything: bool, as_json: bool) -> int:
    """Prints the jobs of all JobManagers of this user; returns the exit code: 1 if one does not answer."""
    found = survey(runtime_folders(os.environ, os.getuid()), SYSTEM_CLOCK)
    kinds = [kind for kind, wanted in (("running", running), ("scheduled", scheduled)) if wanted]
    shown = ["running", "scheduled", "terminated"] if everything else kinds or ["running", "scheduled"]
    jobs = [job for job in found.jobs if _kind(job) in shown]
    if as_json:
        import orjson

        sys.stdout.write(orjson.dumps([_as_dict(job) for job in jobs], option=orjson.OPT_INDENT_2).decode() + "\n")
    elif sys.stdout.isatty() and jobs:
        from rich.console import Console

        console = Console(highlight=False)
        console.print(as_table(jobs, console.width))
    else:
        sys.stdout.write("\n".join(as_lines(jobs, shown)) + "\n")
    for path in found.silent:
        sys.stderr.write(
            f"{path}: this JobManager does not answer; it is stopped (SIGSTOP, a debugger) or overloaded\n"
        )
    return 1 if found.silent else 0


def _kind(job: RunningJob) -> str:
    state = job.overview.state
    if state.is_terminal:
        return "terminated"
    return "scheduled" if state is JobState.CREATED else "running"


_HEADINGS: Final = {
    "running": ("Running/Restarting Jobs", "No running jobs."),
    "scheduled": ("Scheduled/Initializing Jobs", "No scheduled jobs."),
    "terminated": ("Terminated Jobs", "No terminated jobs."),
}


def as_lines(jobs: Sequence[RunningJob], shown: Sequence[str]) -> list[str]:
    """As Flink's client prints them: one section per kind, each with a ruled heading."""
    lines: list[str] = []
    for kind in shown:
        heading, none = _HEADINGS[kind]
        mine = [job.overview for job in jobs if _kind(job) == kind]
        if not mine:
            lines.append(none)
            continue
        lines.append(f" {heading} ".center(_RULER, "-"))
        lines += [f"{_started(job.started_ms)} : {job.job_id} : {job.name} ({job.state})" for job in mine]
        lines.append("-" * _RULER)
    return lines


def _started(started_ms: int) -> str:
    return datetime.fromtimestamp(started_ms / 1000, tz=UTC).astimezone().strftime("%d.%m.%Y %H:%M:%S")


def as_table(jobs: Sequence[RunningJob], width: int) -> RenderableType:
    """One line per job. Ids are shortened to fit: their beginning is enough for every command."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("Job", "Name", "State"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for heading in ("Started", "Runs for", "Par.", "Slots", "Restarts"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Last checkpoint", overflow="ellipsis", no_wrap=True)
    for job in (one.overview for one in jobs):
        colour = {JobState.RUNNING: "green", JobState.FAILED: "red"}.get(job.state, "yellow")
        table.add_row(
            job.job_id.hex if width >= _WIDE else job.job_id.hex[:_SHORT_ID],
            job.name,
            f"[{colour}]{job.state}[/]",
            _started(job.started_ms),
            numbers.elapsed(job.duration_ms / 1000),
            str(job.parallelism),
            str(job.slots),
            str(job.restarts) if job.restarts else "",
            checkpoint_text(job.checkpoints),
        )
    return table


def _as_dict(job: RunningJob) -> dict[str, Any]:
    overview, checkpoints = job.overview, job.overview.checkpoints
    return {
        "job_id": overview.job_id.hex,
        "name": overview.name,
        "state": overview.state.value,
        "started_ms": overview.started_ms,
        "duration_ms": overview.duration_ms,
        "parallelism": overview.parallelism,
        "slots": overview.slots,
        "restarts": overview.restarts,
        "jobmanager_pid": job.pid,
        "checkpoints": None
        if checkpoints is None
        else {
            "completed": checkpoints.completed,
            "failed": checkpoints.failed,
            "in_progress": checkpoints.in_progress,
            "last_id": checkpoints.last_id,
            "last_path": checkpoints.last_path,
            "last_age_ms": checkpoints.last_age_ms,
            "last_duration_ms": checkpoints.last_duration_ms,
            "last_bytes": checkpoints.last_bytes,
        },
    }
