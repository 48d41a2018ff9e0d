"""The TaskManager process, from just after the fork."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
from typing import Final

import pyarrow as pa

from shmflink._core import Heartbeat, StatusPage
from shmflink.metrics.counters import BLOCKS_MAX, HEARTBEAT_WORD, page_words
from shmflink.metrics.log_handler import forward_logs
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.last_words import told
from shmflink.rpc.messages import ForkTaskManager, TaskManagerReady
from shmflink.taskmanager.control import Control
from shmflink.taskmanager.output import take_standard_streams

__all__ = ["run_taskmanager"]

_LOG: Final = logging.getLogger(__name__)
_OOM_SCORE_ADJ: Final = 500  # when memory runs out, the kernel should kill a worker, not the JobManager


def run_taskmanager(request: ForkTaskManager, end: socket.socket) -> None:
    """Serves the JobManager at `end` until it sends Shutdown or is gone. Call it in the main thread of a new fork."""
    connection = BlockingConnection(end)
    with told(connection):
        _settle(request)
        page = StatusPage.create(page_words(BLOCKS_MAX))
        heartbeat = Heartbeat(page, HEARTBEAT_WORD, request.heartbeat_interval_ms)
        connection.send(TaskManagerReady(request.index, os.getpid()), [page.fileno()])
        logs = forward_logs(os.environ, f"TaskManager {request.index}")
        Control(connection, request.slots, request.spin_ns, page, logs.update_levels).serve()
        heartbeat.stop()


def _settle(request: ForkTaskManager) -> None:
    """Turns the process into a worker: ignores Ctrl-C, is pinned, is the first to be killed when memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_standard_streams()
    faulthandler.enable()
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write(f"shmflink-tm-{request.index}"[:15])
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write(str(_OOM_SCORE_ADJ))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # the terminal's input is the client's
    os.close(null)
    if request.cpus:
        try:
            os.sched_setaffinity(0, request.cpus)
        except OSError as error:  # the cpuset shrank since the JobManager looked
            _LOG.warning("TaskManager %d runs unpinned: %s", request.index, error)
    pa.set_cpu_count(request.slots)  # Arrow's own pool would have a thread per CPU of the host in every worker
