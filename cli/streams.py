"""Standard streams of the command: at its start and at its end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Final, TextIO

from shmflink.client.standard_streams import fill_standard_descriptors

__all__ = ["begin_with_streams", "end_streams"]

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def begin_with_streams() -> None:
    """Replaces closed standard streams by the null device: otherwise a file of the job could get their descriptor."""
    fill_standard_descriptors()
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def end_streams(ending: BaseException | None) -> None:
    """A reader that closed the pipe must not change the job's exit code (Python's would be 120).

    Raises:
        SystemExit: standard output could not be written for another reason, mostly a full disk; the reason is printed.
    """
    refusal = _flush_refusal(sys.stdout)
    if isinstance(ending, OSError) and ending.filename is None and ending.errno in _FULL:
        refusal = refusal or _write_refusal()
    _flush_refusal(sys.stderr)
    if refusal is not None and isinstance(ending, OSError | SystemExit):
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"standard output cannot be written: {refusal.strerror}\n")
        raise SystemExit(1) from None


def _write_refusal() -> OSError | None:
    """The error of another write to standard output: after a failed write there is nothing left to flush."""
    try:
        os.write(1, b"\n")
    except OSError as error:
        return error
    return None


def _flush_refusal(stream: TextIO) -> OSError | None:
    """The error with which flushing a stream fails although its reader still exists; then discards the rest."""
    try:
        stream.flush()
    except (OSError, ValueError) as error:
        null = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(null, stream.fileno())
        os.close(null)
        return error if isinstance(error, OSError) and error.errno not in (errno.EPIPE, errno.EIO) else None
    return None
