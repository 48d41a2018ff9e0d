"""Runs jobs on Apache Flink: writes each one as a PyFlink program and starts it in PyFlink's environment.

::

    program ── execute() ──▸ logical plan ──▸ job.py for PyFlink ──▸ python job.py              without an address
                                                                └──▸ flink run -m ADDRESS -py   with one
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, NoReturn, TextIO

from shmflink.client.executor import default_slots
from shmflink.client.flink_environment import find_python, java_problem, missing
from shmflink.client.job_client import JobClient
from shmflink.client.job_execution_result import DetachedJobExecutionResult, JobExecutionResult
from shmflink.client.job_status import JobStatus
from shmflink.config.options import FLINK_ADDRESS
from shmflink.config.session_options import SHUTDOWN_ON_ATTACHED_EXIT
from shmflink.core.ids import JobId
from shmflink.errors import InternalError, JobCancelledError, JobExecutionError, RpcError, UsageError
from shmflink.flinktarget.emit import program_of
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.stream_graph import StreamGraph
from shmflink.plan.logical_plan import LogicalPlan

__all__ = ["FlinkExecutor", "check_options", "flink_python", "python_error"]

_LINES_KEPT: Final = 1000  # of what Flink says on standard error, for the message of a failure
_ID: Final = re.compile(r"JobID ([0-9a-f]{32})")
_RUNTIME: Final = re.compile(r"Job Runtime: (\d+) ms")
_TRACEBACK: Final = re.compile(
    r"Traceback \(most recent call last\):\n(?P<frames>(?:  .*\n)+)(?P<error>(?:(?!Traceback|Caused by|[ \t:]).+\n)+)"
)
_LIBRARY: Final = re.compile(r'"(?:apache_beam|pyflink)/|/site-packages/|"<string>"')
# A program of its own has no line that names the job: this adds the two that `flink run` prints.
_RUN_ALONE: Final = """
import runpy, sys
result = runpy.run_path(sys.argv[1], run_name="flink_job")["main"]()
print(f"Job with JobID {result.get_job_id()} has finished.", file=sys.stderr)
print(f"Job Runtime: {result.get_net_runtime()} ms", file=sys.stderr)
"""
# Runs a program as a child, and ends it with all that it started when our end of standard input closes: we are gone.
_WATCHED: Final = """
import os, shutil, signal, subprocess, sys, threading

def end_with_owner():
    os.read(0, 1)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)

threading.Thread(target=end_with_owner, daemon=True).start()
code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL).returncode
os._exit(code if code >= 0 else 128 - code)
"""
_REFUSED: Final = {
    "execution.state-recovery.path": "savepoints do not move between engines: start the job without one, and see "
    "`shmflink state` for reading the state",
    "python.requirements": "requirements are not shipped to Flink in this version: install them in flink.python",
    "python.archives": "archives are not shipped to Flink in this version: use paths that the cluster's hosts have",
}


def check_options(configuration: Mapping[str, str]) -> None:
    """
    Raises:
        UsageError: an option is set that a job on Flink would not follow.
    """
    for key, reason in _REFUSED.items():
        if configuration.get(key):
            raise UsageError(f"{key} with execution.target FLINK: {reason}")
    if SHUTDOWN_ON_ATTACHED_EXIT.read(configuration) and FLINK_ADDRESS.read(configuration) is None:
        raise UsageError("-sae with a Flink of its own: the job ends with this command anyway; leave it out")


def flink_python(given: str | None) -> str:
    """The interpreter with PyFlink: the given one, or that of `shmflink flink setup`.

    Raises:
        UsageError: there is none, it has no PyFlink or another Python version, or Java is missing.
    """
    if given is None:
        problem = missing()
        if problem is not None:
            raise UsageError(problem)
        return str(find_python())
    python = shutil.which(given)
    problem = java_problem() if python else f"flink.python: there is no program {given}"
    if problem is not None or python is None:
        raise UsageError(problem or "")
    ask = "import sys, importlib.util as u; print(sys.version_info[:2] == {}, u.find_spec('pyflink') is not None)"
    said = subprocess.run(
        [python, "-c", ask.format(tuple(sys.version_info[:2]))], capture_output=True, text=True, check=False
    ).stdout.split()
    if said != ["True", "True"]:
        raise UsageError(
            f"{given} does not have PyFlink for Python {sys.version_info[0]}.{sys.version_info[1]}, the version that "
            "runs this program: functions are pickled, so both must be equal"
        )
    return python


class FlinkExecutor:
    """One program's jobs. Flink's standard output is passed on, its standard error is shown only if `verbose`.

    `address`: host:port of a cluster's REST endpoint; None: each job runs in a Flink of its own, in one process.
    `emit`: keeps the written program there; later jobs of the program get a number behind its name.
    """

    def __init__(
        self,
        configuration: Mapping[str, str],
        python: str,
        *,
        address: str | None = None,
        emit: str | None = None,
        detached: bool = False,
        verbose: bool = False,
    ) -> None:
        self.configuration = configuration
        self._python = python
        self._address = address
        self._emit = Path(emit) if emit is not None else None
        self._detached = detached
        self._verbose = verbose
        self._folder = tempfile.TemporaryDirectory(prefix="shmflink-flink-")
        self._jobs: list[_FlinkJob] = []

    @property
    def default_parallelism(self) -> int:
        return default_slots(self.configuration)

    def submit_plan(self, plan: LogicalPlan, graph: StreamGraph, job: JobGraph) -> JobClient:
        """Writes the job's program and starts it.

        Raises:
            JobGraphError: PyFlink has no counterpart of a call; names each with its line and what to do.
        """
        program = self._path_of(len(self._jobs) + 1)
        program.write_text(program_of(plan), encoding="utf-8")
        command = [sys.executable, "-c", _WATCHED, self._folder.name, *self._command(program)]
        started = _FlinkJob(command, self._python, self._address, is_detached=self._detached, is_verbose=self._verbose)
        self._jobs.append(started)
        return started.client

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> NoReturn:
        raise InternalError(f"job '{graph.name}' is for Flink, which needs its logical plan")

    def close(self) -> None:
        """Ends what still runs in this process's Flink; jobs of a cluster run on."""
        for job in self._jobs:
            job.kill()
        self._folder.cleanup()

    def _path_of(self, number: int) -> Path:
        kept = self._emit if self._emit is not None else Path(self._folder.name) / "job.py"
        return kept if number == 1 else kept.with_name(f"{kept.stem}-{number}{kept.suffix}")

    def _command(self, program: Path) -> list[str]:
        if self._address is None:
            return [self._python, "-c", _RUN_ALONE, str(program)]
        options = ["-d"] if self._detached else []
        options += ["-sae"] if SHUTDOWN_ON_ATTACHED_EXIT.read(self.configuration) else []
        options += ["-m", self._address, "-pyexec", self._python, "-pyclientexec", self._python]
        return [_flink_of(self._python), "run", *options, "-py", str(program)]


def _flink_of(python: str) -> str:
    """Flink's command line in the environment of this interpreter."""
    ask = "import pyflink, os; print(os.path.join(os.path.dirname(pyflink.__file__), 'bin', 'flink'))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


class _FlinkJob:
    """One run of a written program, followed by threads."""

    def __init__(
        self, command: list[str], python: str, address: str | None, *, is_detached: bool, is_verbose: bool
    ) -> None:
        path = os.pathsep.join([os.path.dirname(python), os.environ.get("PATH", "")])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closed when this process ends, however it does
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": path},  # Flink's workers call `python`
            start_new_session=True,  # so that it ends as a whole
        )
        self._python = python
        self._address = address
        self._is_detached = is_detached
        self._started_s = time.monotonic()
        self._id = JobId.random()
        self._runtime_ms: int | None = None
        self._is_cancelled = False
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self.client = JobClient(self._id, lambda _: self._cancel())
        self.client.status_changed(JobStatus.RUNNING)
        self._readers = [
            threading.Thread(target=self._pass_on, args=(pipe, to, is_shown, is_verbose), daemon=True)
            for pipe, to, is_shown in (
                (self._process.stdout, sys.stdout, True),
                (self._process.stderr, sys.stderr, is_verbose),
            )
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._follow, daemon=True).start()

    def kill(self) -> None:
        """Ends all its processes, unless it has ended: its number may be another group's by then."""
        if self._process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _cancel(self) -> None:
        if self._address is None:
            self._is_cancelled = True
            self.kill()
            return
        command = [_flink_of(self._python), "cancel", "-m", self._address, self._id.hex]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RpcError(f"Flink does not cancel job {self._id}: {done.stdout.strip() or done.stderr.strip()}")
        self._is_cancelled = True

    def _pass_on(self, pipe: IO[bytes], to: TextIO, is_shown: bool, verbose: bool) -> None:
        with pipe:
            for raw in pipe:
                line = raw.decode(errors="replace")
                self._note(line)
                if self._address is not None and line.startswith("Traceback "):
                    is_shown = verbose  # of the written program: the error says what it is about
                if is_shown:
                    with contextlib.suppress(OSError):
                        to.write(line)
                        to.flush()

    def _note(self, line: str) -> None:
        if found := _ID.search(line):
            self._id = JobId(found[1])
            self.client.admitted(self._id)
        if found := _RUNTIME.search(line):
            self._runtime_ms = int(found[1])
        self._said.append(line)

    def _follow(self) -> None:
        code = self._process.wait()
        for reader in self._readers:
            reader.join()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._is_cancelled:
            error = JobCancelledError(f"Job with JobID {self._id} was canceled.", job_id=self._id.hex)
            self.client.ended(JobStatus.CANCELED, error)
        elif code:
            self.client.ended(JobStatus.FAILED, self._failure(code))
        elif self._is_detached:
            self.client.ended(JobStatus.RUNNING, DetachedJobExecutionResult(self._id))
        else:
            runtime_ms = self._runtime_ms
            if runtime_ms is None:
                runtime_ms = round((time.monotonic() - self._started_s) * 1000)
            self.client.ended(JobStatus.FINISHED, JobExecutionResult(self._id, runtime_ms))

    def _failure(self, code: int) -> JobExecutionError:
        said = "".join(self._said)
        cause = python_error(said)
        text = f"the job failed on Flink:\n{cause}" if cause else f"Flink ended with exit code {code}; it said:\n{said}"
        return JobExecutionError(text.rstrip(), job_id=self._id.hex, cause_text=cause or said)


def python_error(said: str) -> str:
    """The traceback of the job's own error in Flink's output, without the frames of PyFlink and Beam; empty if there is
    none.
    """
    for found in _TRACEBACK.finditer(said):
        if found["error"].startswith("py4j."):  # the written program's: it waits for the job
            continue
        frames: list[list[str]] = []
        for line in found["frames"].splitlines():
            if line.startswith("  File "):
                frames.append([])
            if frames:
                frames[-1].append(line)
        shown = [line for frame in frames if not _LIBRARY.search(frame[0]) for line in frame]
        return "\n".join(["Traceback (most recent call last):", *shown, found["error"].rstrip()])
    return ""
