"""The process of the REST server: finds its cluster, serves HTTP, and ends when the cluster's JobManager does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import uvicorn
import uvloop

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import ResourceError
from shmflink.rest.app import application
from shmflink.rest.cancellations import Cancellations
from shmflink.rest.context import Context
from shmflink.rest.control import Control
from shmflink.rest.dashboard import Dashboard
from shmflink.rest.operations import Operations
from shmflink.rest.rendered import Rendered
from shmflink.rest.settings import RestSettings
from shmflink.rest.snapshots import Snapshots

__all__ = ["serve"]

_LOG: Final = logging.getLogger(__name__)
_CONNECTIONS_MAX: Final = 512
_KEEP_ALIVE_S: Final = 30
_END_S: Final = 3  # for requests that are being answered when the server ends


def serve(path: str, pid: int, configuration: Mapping[str, str], listening: Callable[[str], None]) -> None:
    """Serves the cluster whose JobManager has this control socket and pid, until that ends or SIGTERM or SIGINT comes.

    `listening` is called with the URL when clients can connect.

    Raises:
        ConfigurationError: options of `rest.*` contradict each other.
        ResourceError: the port is taken, or the system refuses it.
    """
    settings = RestSettings.of(configuration)
    dashboard = Dashboard(settings.dashboard) if settings.dashboard else None
    with _listener(settings) as listener:
        host, port = listener.getsockname()[:2]
        shown = settings.address if settings.address != "0.0.0.0" else host  # noqa: S104 - only compared
        url = f"{settings.scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(path, pid, settings, dashboard, listener, url, listening))


def _listener(settings: RestSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found)  # IPv4 first
        return socket.create_server(address[:2], family=family, backlog=_CONNECTIONS_MAX)
    except OSError as error:
        text = os.strerror(error.errno) if error.errno else str(error)
        raise ResourceError(
            f"the REST server cannot listen on {settings.address}:{settings.port}: {text}; choose another rest.port"
        ) from None


async def _serve(
    path: str,
    pid: int,
    settings: RestSettings,
    dashboard: Dashboard | None,
    listener: socket.socket,
    url: str,
    listening: Callable[[str], None],
) -> None:
    control = Control(path)
    context = Context(
        settings,
        control,
        Snapshots(control, SYSTEM_CLOCK),
        Operations(SYSTEM_CLOCK, settings.store_ms),
        Operations(SYSTEM_CLOCK, settings.store_ms, "failureCause"),
        Operations(SYSTEM_CLOCK, settings.store_ms),
        Cancellations(control, SYSTEM_CLOCK),
        SYSTEM_CLOCK,
        Rendered(),
        socket.gethostname(),
        url,
    )
    server = uvicorn.Server(_config(application(context, dashboard), settings))
    listening(url)  # who connects from now on waits in the socket's queue
    with _jobmanager_watched(pid, server):
        await server.serve(sockets=[listener])
    control.close()


def _config(app: Callable[..., Any], settings: RestSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_END_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )


@contextlib.contextmanager
def _jobmanager_watched(pid: int, server: uvicorn.Server) -> Iterator[None]:
    """The server ends with the JobManager: there is nothing left to tell."""
    loop = asyncio.get_running_loop()
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        server.should_exit = True
        yield
        return

    def ended() -> None:
        loop.remove_reader(pidfd)
        server.should_exit = True

    loop.add_reader(pidfd, ended)
    try:
        yield
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
