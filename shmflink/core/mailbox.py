"""How threads that may block reach the slot, which must not: connectors, and operators that wait for answers."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Mailbox"]


class Mailbox(Protocol):
    """How another thread reaches the slot's thread."""

    def put(self, action: Any) -> None:
        """Schedules `action()` in the slot; safe from any thread; rings the slot's doorbell."""
        ...

    def wake(self) -> None:
        """Makes the slot check again what is runnable; safe from any thread."""
        ...
