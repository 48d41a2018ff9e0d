"""Makes an enumerator that tries to end the process fail its job instead."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import NoReturn

from shmflink.errors import UserFunctionError

__all__ = ["refused_exits"]


@contextlib.contextmanager
def refused_exits() -> Iterator[None]:
    """Wraps a call of an enumerator, in its thread: `sys.exit` and `os._exit` raise UserFunctionError instead.

    Another thread or native code can still end the process; the client then reports that the JobManager is lost.
    """
    exit_process, caller, pid = os._exit, threading.get_ident(), os.getpid()

    def refuse(status: int) -> NoReturn:
        if threading.get_ident() != caller or os.getpid() != pid:  # a child that the enumerator forked may end
            exit_process(status)
        raise UserFunctionError(_text(f"os._exit({status!r})"))

    os._exit = refuse
    try:
        yield
    except SystemExit as end:
        raise UserFunctionError(_text(f"sys.exit({end.code!r})")) from end
    finally:
        os._exit = exit_process


def _text(call: str) -> str:
    return f"the source's enumerator called {call}; to report that there is nothing more to read, use `is_exhausted`"
