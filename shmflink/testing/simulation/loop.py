"""An event loop and its threads, in which the schedule decides when each call happens."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from shmflink.core.clock import Clock
from shmflink.testing.simulation.world import ViolationError

__all__ = ["SimulatedLoop"]


class _Handle:
    """Of something that will be called."""

    def __init__(self, due_ns: int, call: Callable[[], object]) -> None:
        self.due_ns = due_ns
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class _Work:
    """A call in a thread, and the future of its result."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._then: Callable[[_Work], object] = _ignore
        self._result: Any = None
        self._error: BaseException | None = None

    def add_done_callback(self, then: Callable[[_Work], object]) -> None:
        self._then = then

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result

    def exception(self) -> BaseException | None:
        return self._error

    def run(self) -> None:
        """In its thread."""
        try:
            self._result = self._work()
        except ViolationError:
            raise
        except Exception as error:
            self._error = error

    def tell(self) -> None:
        """In the loop."""
        self._then(self)


def _ignore(_work: _Work) -> None:
    return


class SimulatedLoop:
    """The part of an asyncio event loop that jobs use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.soon: deque[Callable[[], object]] = deque()
        """What was called soon."""
        self._timers: list[_Handle] = []
        self.to_work: list[_Work] = []
        self.to_hear: list[_Work] = []
        """Calls that threads have performed and that the loop has not heard of."""

    # --- what jobs call ---

    def time(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> _Handle:
        handle = _Handle(0, partial(call, *arguments))
        self.soon.append(lambda: None if handle.is_cancelled else handle.call())
        return handle

    def call_later(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> _Handle:
        handle = _Handle(self._clock.monotonic_ns() + round(delay_s * 1e9), partial(call, *arguments))
        self._timers.append(handle)
        return handle

    def run_in_executor(self, _executor: None, work: Callable[[], Any]) -> _Work:
        found = _Work(work)
        self.to_work.append(found)
        return found

    # --- what the schedule calls ---

    def run_soon(self) -> bool:
        """What was called soon, first come, first served."""
        if not self.soon:
            return False
        self.soon.popleft()()
        return True

    def next_due_ns(self) -> int | None:
        """Of the first timer."""
        self._timers = [timer for timer in self._timers if not timer.is_cancelled]
        return min((timer.due_ns for timer in self._timers), default=None)

    def fire(self) -> bool:
        """The first timer that is due."""
        due_ns = self.next_due_ns()
        if due_ns is None or due_ns > self._clock.monotonic_ns():
            return False
        timer = next(timer for timer in self._timers if timer.due_ns == due_ns)
        self._timers.remove(timer)
        timer.call()
        return True

    def work(self, rng: random.Random) -> bool:
        """Some thread performs its call; the loop has not heard of the result yet."""
        if not self.to_work:
            return False
        work = self.to_work.pop(int(rng.random() * len(self.to_work)))
        work.run()
        self.to_hear.append(work)
        return True

    def hear(self, rng: random.Random) -> bool:
        """The loop hears of one result."""
        if not self.to_hear:
            return False
        self.to_hear.pop(int(rng.random() * len(self.to_hear))).tell()
        return True

    def die(self, rng: random.Random) -> None:
        """Its process dies. A call in a thread has been performed, or not."""
        for work in self.to_work:
            if rng.random() < 0.5:
                work.run()
        self.to_work.clear()
