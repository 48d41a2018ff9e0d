"""What a process of the cluster reports when it ends because of its own failure, so that nobody blames user code."""

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
    """Reports an exception of the block to the JobManager and raises it again. SystemExit comes from user code
    and passes.
    """
    try:
        yield
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        with contextlib.suppress(RpcError):  # nobody is left to receive it
            connection.send(ProcessFailed(Failure(type(error).__name__, system_error_text(error), text)))
        raise
