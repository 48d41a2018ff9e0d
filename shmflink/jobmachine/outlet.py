"""Where the machines of one job put what they ask for, and what is remembered of how the job came to its state."""

from __future__ import annotations

from collections import deque
from typing import Final

from shmflink.jobmachine.effects import Effect

__all__ = ["Outlet", "Story"]

_LINES_MAX: Final = 40
_LINE_CHARS_MAX: Final = 160


class Outlet:
    """One per job. `now_ms`: the time of the event at hand, of a clock that never goes back."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._effects: list[Effect] = []

    def ask(self, *effects: Effect) -> None:
        """To be performed after those that were asked for before."""
        self._effects += effects

    def take(self) -> list[Effect]:
        """All that was asked for since the last call."""
        effects, self._effects = self._effects, []
        return effects


class Story:
    """The latest events of a job and their effects, in words: what an InternalError tells."""

    def __init__(self) -> None:
        self._begun: deque[tuple[int, object, list[Effect]]] = deque(maxlen=_LINES_MAX)

    def add(self, now_ms: int, event: object, effects: list[Effect]) -> None:
        """Costs next to nothing: the words are made when somebody reads them."""
        self._begun.append((now_ms, event, effects))

    def lines(self) -> tuple[str, ...]:
        """Oldest first: time, event, effects."""
        return tuple(_line(now_ms, event, effects) for now_ms, event, effects in self._begun)


def _line(now_ms: int, event: object, effects: list[Effect]) -> str:
    names = ", ".join(type(effect).__name__ for effect in effects)
    text = f"{now_ms} ms: {_short(event)}"
    return f"{text} -> {names}" if names else text


def _short(event: object) -> str:
    text = repr(event)
    return text if len(text) <= _LINE_CHARS_MAX else f"{text[: _LINE_CHARS_MAX - 3]}..."
