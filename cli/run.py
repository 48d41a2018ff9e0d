"""`shmflink run`: starts a cluster, runs the job's file against it, and reports."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable

import shmflink
from shmflink.client.cluster_signals import ClusterSignals, handling
from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import (
    DirectoryInUseError,
    JobCancelledError,
    JobExecutionError,
    JobManagerLostError,
    ShmflinkError,
    UsageError,
)

from .invocation import Invocation
from .notify import ServiceNotifier
from .reporting import reporter_for
from .summary import RunRecord

__all__ = ["run_job"]

FAILED = 1
LOST = 75  # EX_TEMPFAIL: the HA directory keeps the jobs; starting the program again resumes them


def run_job(invocation: Invocation, summary: str | None, *, verbose: bool) -> int:
    """Runs the job's file; returns the exit code. `summary` is a file's path, or '-' for standard error."""
    started_ns = SYSTEM_CLOCK.monotonic_ns()
    if verbose:
        _log_everything()
    record = RunRecord(invocation.file)
    reporter = ServiceNotifier.where_asked(reporter_for(record), os.environ)
    cluster = EmbeddedCluster(invocation.configuration, reporter, reporter.streams)
    cluster.start()  # starts up while the job's file is imported
    try:
        with handling(ClusterSignals(cluster, reporter.cluster_says)) as signals, use_executor(cluster):
            code = _exit_code(invocation, lambda: signals.exit_code, is_recovering=cluster.is_recovering)
            record.slots, record.cluster_start_ms = cluster.slots, cluster.start_ms
    finally:
        cluster.close()
        reporter.close()
    if summary is not None:
        _write_summary(record, summary, code, (SYSTEM_CLOCK.monotonic_ns() - started_ns) / 1e6)
    return code


def _log_everything() -> None:
    """Does not configure the root logger: basicConfig() in the job's file still takes effect."""
    shown = logging.StreamHandler()
    shown.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.lastResort = shown
    for name in ("", "shmflink"):
        logging.getLogger(name or None).setLevel(logging.INFO)


def _exit_code(invocation: Invocation, signalled: Callable[[], int], *, is_recovering: bool) -> int:
    """Runs the file; prints the exception that it raises, here and nowhere else."""
    try:
        invocation.execute()
    except SystemExit as leave:
        return _code_of(leave)
    except JobCancelledError as error:
        _say(str(error))
        return signalled() or FAILED
    except JobExecutionError as error:
        _say(str(error))
        return FAILED
    except UsageError as error:
        _say(_where_and_what(error))
        return FAILED
    except ShmflinkError as error:
        if is_recovering and isinstance(error, JobManagerLostError | DirectoryInUseError) and not signalled():
            _say(str(error))
            return LOST
        if signalled():  # the cluster was killed under the job, as requested
            return signalled()
        _say(_users_traceback(invocation.file))
        return FAILED
    except KeyboardInterrupt:
        return signalled() or 128 + signal.SIGINT
    except BaseException:
        _say(_users_traceback(invocation.file))
        return FAILED
    return signalled()


def _code_of(leave: SystemExit) -> int:
    if leave.code is None or isinstance(leave.code, int):
        return leave.code or 0
    _say(str(leave.code))
    return FAILED


def _users_traceback(file: str) -> str:
    """The traceback from the job's file on, without the frames that ran the file."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return "".join(traceback.format_exception(kind, error, trace)).rstrip()


def _where_and_what(error: UsageError) -> str:
    """Only the user's own lines and the message: our frames and causes would bury them."""
    ours = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (shmflink.__file__, __file__))
    frames = itertools.dropwhile(
        lambda frame: frame.filename.startswith(ours), traceback.extract_tb(error.__traceback__)
    )
    users = list(itertools.takewhile(lambda frame: not frame.filename.startswith(ours), frames))
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(users)] if users else []
    return "".join([*lines, *traceback.format_exception_only(type(error), error)]).rstrip()


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it, or its disk is full: no reason to fail
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _write_summary(record: RunRecord, where: str, exit_code: int, total_ms: float) -> None:
    import orjson

    text = orjson.dumps(record.as_dict(exit_code, total_ms), option=orjson.OPT_APPEND_NEWLINE)
    if where == "-":
        with contextlib.suppress(OSError):
            sys.stderr.write(text.decode())
        return
    temporary = f"{where}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(text)
    os.replace(temporary, where)
