"""Tells systemd that the job is ready and alive (sd_notify(3)); otherwise systemd's watchdog restarts the service.

Alive means: no job runs, or the JobManager has reported one recently. This also detects a JobManager that hangs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from typing import Final, Self

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

from .reporting import PlainReporter, TerminalReporter

__all__ = ["ServiceNotifier"]

_BEATS: Final = 4  # per watchdog interval


class ServiceNotifier:
    """Forwards a reporter's events, and sends beats as long as there are events."""

    wants_progress = True

    def __init__(self, reporter: PlainReporter | TerminalReporter, address: str, interval_us: int) -> None:
        """`address` is systemd's socket, with `@` for the abstract namespace; `interval_us` 0: no watchdog."""
        self._reporter = reporter
        self.streams = reporter.streams
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._interval_s = interval_us / 1e6
        self._jobs: set[str] = set()
        self._told_ns = 0
        self._is_over = threading.Event()
        if self._interval_s:
            threading.Thread(target=self._beat, name="shmflink-notify", daemon=True).start()

    @classmethod
    def where_asked(
        cls, reporter: PlainReporter | TerminalReporter, environment: Mapping[str, str]
    ) -> Self | PlainReporter | TerminalReporter:
        """The reporter itself if no service manager listens."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address:
            return reporter
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = environment.get("WATCHDOG_USEC", "")
        return cls(reporter, address, int(interval) if interval.isdigit() and is_for_us else 0)

    def job_submitted(self, graph: JobGraph) -> None:
        self._told_ns = SYSTEM_CLOCK.monotonic_ns()
        self._jobs.add(graph.job_id.hex)
        self._say(f"READY=1\nSTATUS=runs {_one_line(graph.name)} ({graph.job_id})")
        self._reporter.job_submitted(graph)

    def job_progressed(self, progress: JobProgress) -> None:
        self._told_ns = SYSTEM_CLOCK.monotonic_ns()
        self._reporter.job_progressed(progress)

    def job_ended(self, ended: JobEnded) -> None:
        self._jobs.discard(ended.job_id.hex)
        self._reporter.job_ended(ended)

    def cluster_says(self, text: str) -> None:
        self._say(f"STATUS={_one_line(text)}")
        self._reporter.cluster_says(text)

    def close(self) -> None:
        self._is_over.set()
        self._say("STOPPING=1")
        self._reporter.close()

    def _beat(self) -> None:
        while not self._is_over.wait(self._interval_s / _BEATS):
            age_s = (SYSTEM_CLOCK.monotonic_ns() - self._told_ns) / 1e9
            if not self._jobs or age_s < self._interval_s / 2:
                self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        with (
            contextlib.suppress(OSError),  # the service manager is gone or no longer listens
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(text.encode(), self._address)


def _one_line(text: str) -> str:
    return " ".join(text.split())
