"""The outlet, into which the machines of one job put their effects, and the story of how the job came to its state."""

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
        """Performed in the order of the calls."""
        self._effects += effects

    def take(self) -> list[Effect]:
        """All effects since the last call."""
        effects, self._effects = self._effects, []
        return effects


class Story:
    """The latest events of a job and their effects, in words: what an InternalError tells."""

    def __init__(self) -> None:
        self._begun: deque[tuple[int, object, list[Effect]]] = deque(maxlen=_LINES_MAX)

    def add(self, now_ms: int, event: object, effects: list[Effect]) -> None:
        """Cheap: the text is made when it is read."""
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
