"""What the CLI shows while a request to a JobManager is pending: first that it waits, then what it waits for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from shmflink.core.clock import SYSTEM_CLOCK, Clock

from . import numbers

__all__ = ["Reasons", "waiting"]

_QUIET_S: Final = 2.0


class Reasons:
    """Asks for the reasons of a wait after two seconds, then each time the wait has doubled, and reports them."""

    def __init__(self, clock: Clock, ask: Callable[[], Sequence[str]], tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._ask = ask
        self._tell = tell
        self._began_ns = clock.monotonic_ns()
        self._next_s = _QUIET_S

    @property
    def seconds(self) -> float:
        """Seconds since the wait began."""
        return (self._clock.monotonic_ns() - self._began_ns) / 1e9

    def tick(self) -> None:
        """Call it from time to time."""
        seconds = self.seconds
        if seconds < self._next_s:
            return
        self._next_s = max(2 * self._next_s, seconds + _QUIET_S)
        for reason in self._ask():
            self._tell(f"still waiting after {seconds:.0f} s: {reason}")


@contextmanager
def waiting(ask: Callable[[], Sequence[str]]) -> Iterator[Callable[[], None]]:
    """A function to call while waiting. A terminal shows a clock; otherwise Flink's line is printed once.
    `ask` returns the reasons, which go to standard error.
    """
    if not sys.stderr.isatty():
        sys.stdout.write("Waiting for response...\n")
        sys.stdout.flush()
        yield Reasons(SYSTEM_CLOCK, ask, _say_on_stderr).tick
        return
    from rich.console import Console

    console = Console(stderr=True)
    reasons = Reasons(SYSTEM_CLOCK, ask, lambda text: console.print(text, markup=False, highlight=False))
    with console.status("Waiting for response...") as status:

        def tick() -> None:
            status.update(f"Waiting for response... {numbers.elapsed(reasons.seconds)}")
            reasons.tick()

        yield tick


def _say_on_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
