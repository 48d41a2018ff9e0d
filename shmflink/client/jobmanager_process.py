"""A JobManager that this process has started, and the connection to it."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from typing import Final

from shmflink.client.jobmanager_launch import launch_jobmanager
from shmflink.client.standard_streams import STDOUT
from shmflink.errors import RpcError
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.runtime_folder import remove_dead, runtime_folders

__all__ = ["JobManagerProcess"]

_LOG: Final = logging.getLogger(__name__)
_END_S: Final = 20.0  # for a clean end; the JobManager itself gives up on its workers after ten seconds
_LOOK_MS: Final = 1000


class JobManagerProcess:
    """From its start until it is reaped. Several threads may send; one receives."""

    def __init__(self, log_address: str, streams: tuple[int | None, int | None]) -> None:
        """Starts it and returns at once. For the arguments, see `launch_jobmanager`."""
        self._process, end = launch_jobmanager(log_address, streams)
        self._connection = BlockingConnection(end)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: object) -> None:
        """RpcError if it is gone."""
        self._connection.send(message)

    def kill(self) -> None:
        """SIGKILL; its children die with it. Takes no lock."""
        self._process.kill()

    def receive(
        self,
        handle: Callable[[object], None],
        silent: Callable[[int], None] | None,
        output_closed: Callable[[], None],
    ) -> None:
        """Passes its messages on until the connection ends. Each second, `silent` gets the seconds since the last
        message. `output_closed` is called when nobody reads our standard output any longer.

        Counts fruitless waits instead of time, so that time in which this process was stopped does not count.
        """
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        poll.register(STDOUT, 0)  # reports POLLERR without being asked
        silent_s = 0
        while True:
            ready = dict(poll.poll(None if silent is None else _LOOK_MS))
            if ready.pop(STDOUT, 0):
                poll.unregister(STDOUT)
                output_closed()
                if not ready:
                    continue
            if not ready:
                silent_s += 1
                if silent is not None:
                    silent(silent_s)
                continue
            silent_s = 0
            received = self._connection.read_once()
            if received is None:
                return
            for one in received:
                handle(one.message)

    def reaped(self) -> str:
        """Waits for the end of the process; says how it ended. Removes what it may have left."""
        code = self.wait()
        self._connection.close()
        remove_dead(runtime_folders(os.environ, os.getuid()), self.pid)
        return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"

    def wait(self) -> int:
        """The exit code; kills the process if it does not end by itself."""
        try:
            return self._process.wait(_END_S)
        except TimeoutError:
            self._process.kill()
            return self._process.wait()

    def shut_down(self, message: object) -> None:
        """Sends the request to end, unless the process is gone."""
        try:
            self.send(message)
        except RpcError:
            _LOG.info("the JobManager was gone before the request to end")

    def leave_to_parent(self) -> None:
        """In a fork: closes our end of the connection, or the JobManager would outlive the parent."""
        self._connection.close()
