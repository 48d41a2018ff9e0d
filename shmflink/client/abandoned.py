"""What is to be done for objects that a program has dropped, in a thread that may take locks and wait.

The garbage collector calls finalizers at any moment, also in a thread that holds the very lock that the clean-up needs.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["ABANDONED", "Abandoned"]


class Abandoned:
    """Clean-ups and the thread that works them off. `put` is safe in finalizers; everything else is not."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew; in a fork, where the thread is not and its lock may be held."""
        self._actions: deque[Callable[[], None]] = deque()
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Before something is handed out that may be dropped: the thread runs from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="shmflink-abandoned", daemon=True)
            self._thread.start()

    def put(self, action: Callable[[], None]) -> None:
        """Has `action` called soon. Takes no lock."""
        self._actions.append(action)
        self._calls.put(None)

    def work_off(self) -> None:
        """Returns when all that was put is done."""
        with self._working:
            while self._actions:
                self._actions.popleft()()

    def _serve(self) -> None:
        while True:
            self._calls.get()
            self.work_off()


ABANDONED: Final = Abandoned()
"""Of this process: iterators over results that a program has dropped, whose jobs are cancelled."""
