"""Options of the jobs that a session cluster remembers; part of `options.OPTIONS`."""

from __future__ import annotations

from typing import Final

from shmflink.config import kinds
from shmflink.config.option import Option

__all__ = [
    "JOB_ARCHIVE_DIRECTORY",
    "JOB_STORE_CAPACITY",
    "JOB_STORE_EXPIRATION",
    "SESSION_OPTIONS",
    "SHUTDOWN_ON_ATTACHED_EXIT",
]

JOB_STORE_EXPIRATION: Final = Option(
    "jobstore.expiration-time",
    kinds.DURATION,
    3_600_000,
    "How long a session cluster remembers a job that is over; also across restarts of the cluster.",
    minimum=0,
)
JOB_STORE_CAPACITY: Final = Option(
    "jobstore.max-capacity",
    kinds.INT,
    50,
    "How many jobs that are over a session cluster remembers; the oldest are forgotten first.",
    minimum=1,
    maximum=10_000,
)
JOB_ARCHIVE_DIRECTORY: Final = Option(
    "jobmanager.archive.fs.dir",
    kinds.STRING,
    None,
    "Folder in which a session cluster keeps what it remembers of jobs that are over, in a folder of its name. "
    "Default: shmflink/jobs in $XDG_STATE_HOME (~/.local/state).",
)

SHUTDOWN_ON_ATTACHED_EXIT: Final = Option(
    "execution.shutdown-on-attached-exit",
    kinds.BOOL,
    False,
    "A session cluster cancels the jobs of an attached program that is interrupted or dies (`run -sae`). Jobs in an HA "
    "directory are not bound to their program after the death of the JobManager.",
)

SESSION_OPTIONS: Final[tuple[Option[object], ...]] = (
    SHUTDOWN_ON_ATTACHED_EXIT,
    JOB_STORE_EXPIRATION,
    JOB_STORE_CAPACITY,
    JOB_ARCHIVE_DIRECTORY,
)
