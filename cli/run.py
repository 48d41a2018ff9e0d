"""`shmflink run`: starts a cluster, runs the job's file against it, and reports."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from shmflink.client.cluster_signals import ClusterSignals, handling
from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.config.options import CLUSTER_NAME, EXECUTION_TARGET, FLINK_ADDRESS, FLINK_PYTHON
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import (
    DirectoryInUseError,
    JobCancelledError,
    JobExecutionError,
    JobManagerLostError,
    RpcError,
    ShmflinkError,
    UsageError,
)

from .invocation import Invocation
from .notify import ServiceNotifier
from .program_errors import FAILED, code_of, say, say_error
from .reporting import reporter_for
from .summary import RunRecord

if TYPE_CHECKING:
    from shmflink.client.session_cluster import SessionCluster

    from .reporting import PlainReporter, TerminalReporter

    JobReporter: TypeAlias = ServiceNotifier | PlainReporter | TerminalReporter

__all__ = ["run_job"]

LOST = 75  # EX_TEMPFAIL: the HA directory keeps the jobs; starting the program again resumes them


def run_job(
    invocation: Invocation,
    summary: str | None,
    *,
    verbose: bool,
    detached: bool = False,
    emit: str | None = None,
) -> int:
    """Runs the job's file; returns the exit code. `summary` is a file's path, or '-' for standard error.
    `detached`: the jobs continue without this process.
    """
    started_ns = SYSTEM_CLOCK.monotonic_ns()
    if verbose:
        _log_everything()
    if EXECUTION_TARGET.read(invocation.configuration) == "FLINK":
        return _run_on_flink(invocation, summary, emit, verbose=verbose, detached=detached)
    if emit is not None:
        say("--emit writes the program that runs on Flink: add --target flink, or use shmflink info --emit")
        return FAILED
    record = RunRecord(invocation.file)
    reporter = ServiceNotifier.where_asked(reporter_for(record), os.environ)
    try:
        cluster = _cluster(invocation, reporter, detached=detached)
    except (UsageError, RpcError) as error:
        reporter.close()
        say(str(error))
        return FAILED
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


def _run_on_flink(
    invocation: Invocation, summary: str | None, emit: str | None, *, verbose: bool, detached: bool
) -> int:
    """Runs the job's file; its jobs run on Flink. Returns the exit code."""
    from shmflink.client.flink_executor import FlinkExecutor, check_options, flink_python

    configuration = invocation.configuration
    address = FLINK_ADDRESS.read(configuration)
    if summary is not None:
        say("--json: Flink gives no summary; leave it out, or use --target local")
        return FAILED
    if detached and address is None:
        say("-d: a detached job needs a Flink cluster that outlives this command: name it (-m HOST:PORT)")
        return FAILED
    try:
        check_options(configuration)
        python = flink_python(FLINK_PYTHON.read(configuration))
    except UsageError as error:
        say(str(error))
        return FAILED
    executor = FlinkExecutor(configuration, python, address=address, emit=emit, detached=detached, verbose=verbose)
    try:
        with use_executor(executor):
            return _exit_code(invocation, lambda: 0, is_recovering=False)
    finally:
        executor.close()


def _cluster(invocation: Invocation, reporter: JobReporter, *, detached: bool) -> EmbeddedCluster | SessionCluster:
    """The session cluster that the configuration names, or one that belongs to this process."""
    configuration = invocation.configuration
    if EXECUTION_TARGET.read(configuration) == "REMOTE":
        from shmflink.client.session_cluster import SessionCluster, find_session

        found = find_session(CLUSTER_NAME.read(configuration), os.environ)
        return SessionCluster(configuration, found, reporter, detached=detached)
    if detached:
        raise UsageError(
            "-d: a detached job needs a cluster that outlives this command: start one (shmflink start-cluster) and "
            "name it (-t remote, or -m NAME)"
        )
    cluster = EmbeddedCluster(configuration, reporter, reporter.streams)
    cluster.start()  # starts up while the job's file is imported
    return cluster


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
        return code_of(leave)
    except JobCancelledError as error:
        say(str(error))
        return signalled() or FAILED
    except JobExecutionError as error:
        say(str(error))
        return FAILED
    except ShmflinkError as error:
        if is_recovering and isinstance(error, JobManagerLostError | DirectoryInUseError) and not signalled():
            say(str(error))
            return LOST
        if signalled() and not isinstance(error, UsageError):  # the cluster was killed under the job, as requested
            return signalled()
        say_error(error, invocation.file)
        return FAILED
    except KeyboardInterrupt:
        return signalled() or 128 + signal.SIGINT
    except BaseException as error:
        say_error(error, invocation.file)
        return FAILED
    return signalled()


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
