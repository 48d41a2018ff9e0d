"""The `shmflink` script: what a job needs is starting before this process has imported the command line."""

from __future__ import annotations

import contextlib
import errno
import gc
import sys
from collections.abc import Callable

from shmflink.client.foreseen import Foreseen, modules_of_program
from shmflink.client.jobmanager_launch import abandon_jobmanager, begin_jobmanager

__all__ = ["main"]

_ELSEWHERE = frozenset({"-m", "--jobmanager", "-t", "--target", "-d", "--detached"})


def main() -> None:
    """Entry point of the `shmflink` script."""
    gc.disable()  # imports create no garbage; `Invocation.execute` enables it again
    from .leaving import leave
    from .streams import begin_with_streams, end_streams

    begin_with_streams()
    try:
        try:
            _command()
        finally:
            abandon_jobmanager()
            end_streams(sys.exception())
    except SystemExit as end:
        leave(end)


def _needs_no_jobmanager(words: list[str]) -> bool:
    """Whether the command prints help, or the words before the job's file select a session cluster."""
    files = (index for index, word in enumerate(words) if word.endswith(".py"))
    return "--help" in words or not _ELSEWHERE.isdisjoint(words[: next(files, len(words))])


def _foreseen(words: list[str]) -> Foreseen:
    """What the job's file promises to import, if there is one."""
    file = next((word for word in words if word.endswith(".py")), "")
    with contextlib.suppress(OSError), open(file, "rb") as program:  # who runs it says that it cannot be read
        return modules_of_program(program.read())
    return Foreseen()


def _command() -> None:
    if sys.argv[1:2] == ["run"]:
        sys.exit(_code_of(_run))
    from .main import main as command_line

    command_line()


def _run() -> int:
    if not _needs_no_jobmanager(sys.argv[2:]):
        begin_jobmanager(_foreseen(sys.argv[2:]))
    from .plain_run import plain_run

    run = plain_run(sys.argv[1:])
    if run is not None:
        return run()
    from .main import main as command_line

    command_line()
    return 0


def _code_of(run: Callable[[], int]) -> int:
    """Handles Ctrl-C and a closed pipe outside the job's own file."""
    try:
        return run()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
        return 1
