"""What a process of the cluster says when it ends for a failure of its own, so that nobody blames user code for it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Final

from shmflink.errors import RpcError
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import Failure, ProcessFailed

__all__ = ["EXIT_FAILED", "told"]

EXIT_FAILED: Final = 70  # EX_SOFTWARE


@contextlib.contextmanager
def told(connection: BlockingConnection) -> Iterator[None]:
    """Sends what the block raises to the JobManager, and raises it again. SystemExit is user code's and passes."""
    try:
        yield
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        with contextlib.suppress(RpcError):  # nobody is left to tell
            connection.send(ProcessFailed(Failure(type(error).__name__, system_error_text(error), text)))
        raise
