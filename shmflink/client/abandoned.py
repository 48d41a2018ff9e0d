"""Cleans up for objects that a program has dropped, in a thread that may take locks and wait.

The garbage collector may call a finalizer at any moment, even in a thread that holds the lock the clean-up needs.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["ABANDONED", "Abandoned"]


class Abandoned:
    """Clean-ups and the thread that runs them. Only `put` is safe in finalizers."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Starts afresh; also in a fork, which has no such thread and whose copy of the lock may be held."""
        self._actions: deque[Callable[[], None]] = deque()
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Starts the thread. Call it before handing out an object that may be dropped."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="shmflink-abandoned", daemon=True)
            self._thread.start()

    def put(self, action: Callable[[], None]) -> None:
        """Schedules `action`. Takes no lock."""
        self._actions.append(action)
        self._calls.put(None)

    def work_off(self) -> None:
        """Returns when every scheduled action has run."""
        with self._working:
            while self._actions:
                self._actions.popleft()()

    def _serve(self) -> None:
        while True:
            self._calls.get()
            self.work_off()


ABANDONED: Final = Abandoned()
"""For this process: result iterators that a program has dropped, whose jobs are to be canceled."""
