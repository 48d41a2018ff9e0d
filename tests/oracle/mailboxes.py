"""A slot's mailbox for tests of what works in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

WATCHDOG_SECONDS = 30


class WaitableMailbox:
    """Remembers that it was woken."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def put(self, action: Any) -> None:
        action()

    def wake(self) -> None:
        self._woken.set()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Looks again whenever it is woken, as a slot does."""
        while not condition():
            assert self._woken.wait(WATCHDOG_SECONDS), "nobody woke the slot"
            self._woken.clear()
