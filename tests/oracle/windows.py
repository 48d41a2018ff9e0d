"""Windows: each key's panes in a list, each with its elements and the times at which its trigger wants to be asked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from oracle.elements import END, END_OF_TIME, NO_TIME, Event, Mark, Results, Stream, Tick, typed
from oracle.processing import Key, groups
from oracle.states import KeyedStates

# --- which windows an element belongs to: (start, end) pairs, end exclusive ---

Bounds = tuple[int, int]


@dataclass(frozen=True)
class Tumbling:
    size: int
    offset: int = 0

    def windows(self, _value: Any, time: int, _count: int) -> list[Bounds]:
        start = (time - self.offset) // self.size * self.size + self.offset
        return [(start, start + self.size)]


@dataclass(frozen=True)
class Sliding:
    size: int
    slide: int
    offset: int = 0

    def windows(self, _value: Any, time: int, _count: int) -> list[Bounds]:
        starts = [start for start in range(time - self.size + 1, time + 1) if (start - self.offset) % self.slide == 0]
        return [(start, start + self.size) for start in starts]


@dataclass(frozen=True)
class Session:
    """`gap`: milliseconds, or a function of the element."""

    gap: Any

    def windows(self, value: Any, time: int, _count: int) -> list[Bounds]:
        return [(time, time + (self.gap(value) if callable(self.gap) else self.gap))]


@dataclass(frozen=True)
class Counting:
    """Every `slide` elements of a key begin a window of `size` elements; a window is (its number, end of time)."""

    size: int
    slide: int

    def windows(self, _value: Any, _time: int, count: int) -> list[Bounds]:
        numbers = [number for number in range(count + 1) if 0 <= count - number * self.slide < self.size]
        return [(number, END_OF_TIME) for number in numbers]


@dataclass(frozen=True)
class Everything:
    def windows(self, _value: Any, _time: int, _count: int) -> list[Bounds]:
        return [(0, END_OF_TIME)]


# --- when a window fires ---


@dataclass(frozen=True)
class AtEnd:
    """When time passes the window's last millisecond, and at each later element."""


@dataclass(frozen=True)
class AtCount:
    count: int


@dataclass(frozen=True)
class Every:
    """At every multiple of the interval, and by event time as AtEnd."""

    interval: int


@dataclass(frozen=True)
class Purging:
    inner: Any


@dataclass(frozen=True)
class Never:
    pass


@dataclass(eq=False)
class Pane:
    """A window of a key with what is in it."""

    key: Any
    window: Bounds
    elements: list[tuple[int, Any]] = field(default_factory=list)
    alarms: set[int] = field(default_factory=set)
    count: int = 0
    next: int | None = None

    @property
    def last(self) -> int:
        """The last moment of the window. Windows that never end have END_OF_TIME."""
        return self.window[1] - (self.window[1] != END_OF_TIME)


class Window:
    def __init__(self, bounds: Bounds) -> None:
        self.start, self.end = bounds
        self.id = bounds[0]


class Context:
    """Of a ProcessWindowFunction."""

    def __init__(self) -> None:
        self.pane = Pane(None, (0, 0))
        self.mark = NO_TIME
        self.now = 0
        self._of_key = KeyedStates(lambda: self.pane.key)
        self._of_window = KeyedStates(lambda: (self.pane.key, self.pane.window))

    def window(self) -> Window:
        return Window(self.pane.window)

    def current_watermark(self) -> int:
        return self.mark

    def global_state(self) -> KeyedStates:
        return self._of_key

    def window_state(self) -> KeyedStates:
        return self._of_window


@dataclass(frozen=True)
class Windowing:
    """What a program says of its windows. `fold`: elements -> what the function sees; None = the elements."""

    assigner: Any
    trigger: Any = AtEnd()
    function: Any = None
    fold: Callable[[list[Any]], Any] | None = None
    lateness: int = 0
    late: str | None = None
    is_event_time: bool = True
    keep_last: int | None = None


def reduced(function: Callable[[Any, Any], Any]) -> Callable[[list[Any]], Any]:
    return lambda elements: reduce(function, elements)


def aggregated(function: Any) -> Callable[[list[Any]], Any]:
    def fold(elements: list[Any]) -> Any:
        accumulator = function.create_accumulator()
        for element in elements:
            accumulator = function.add(element, accumulator)
        return function.get_result(accumulator)

    return fold


class Run:
    """Windows that run."""

    def __init__(self, spec: Windowing) -> None:
        self.spec = spec
        self.context = Context()
        self.results = Results()
        self.panes: list[Pane] = []
        self.counts: dict[Any, int] = {}
        self.dropped = 0
        self.is_ending = False  # BATCH mode: no trigger is asked again
        self.function = copy.deepcopy(spec.function)

    @property
    def time(self) -> int:
        """How far the time of these windows has come."""
        return self.context.mark if self.spec.is_event_time else self.context.now

    # --- elements ---

    def element(self, key: Any, event: Event) -> None:
        spec = self.spec
        time = event.time if spec.is_event_time else self.context.now
        count = self.counts.get(typed(key), 0)
        self.counts[typed(key)] = count + 1
        was_taken = False
        for window in spec.assigner.windows(event.value, time, count):
            pane = self._pane(key, window)
            if self._is_over(pane):
                continue
            was_taken = True
            if pane not in self.panes:
                self.panes.append(pane)
            pane.elements.append((event.time, event.value))
            fires, purges = self._at_element(spec.trigger, pane, time)
            self._act(pane, fires, purges)
        ends = spec.is_event_time and spec.assigner != Everything() and not isinstance(spec.assigner, Counting)
        if not was_taken and ends and event.time + spec.lateness <= self.context.mark:
            if spec.late is None:
                self.dropped += 1
            else:
                self.results.put_aside(spec.late, event.value, event.time)

    def _pane(self, key: Any, window: Bounds) -> Pane:
        mine = [pane for pane in self.panes if typed(pane.key) == typed(key)]
        if not isinstance(self.spec.assigner, Session):
            return next((pane for pane in mine if pane.window == window), Pane(key, window))
        touching = [pane for pane in mine if pane.window[0] <= window[1] and window[0] <= pane.window[1]]
        if not touching:
            return Pane(key, window)
        if len(touching) == 1 and touching[0].window[0] <= window[0] and window[1] <= touching[0].window[1]:
            return touching[0]
        everything = [window, *(pane.window for pane in touching)]
        merged = Pane(key, (min(start for start, _ in everything), max(end for _, end in everything)))
        for pane in touching:
            self.panes.remove(pane)
            merged.elements += pane.elements
            merged.count += pane.count
            if pane.next is not None:
                merged.next = pane.next if merged.next is None else min(merged.next, pane.next)
                merged.alarms.add(merged.next)
        self.panes.append(merged)
        return merged

    def _cleanup(self, pane: Pane) -> int:
        return pane.last + (self.spec.lateness if self.spec.is_event_time else 0)

    def _is_over(self, pane: Pane) -> bool:
        return self.spec.is_event_time and pane.last != END_OF_TIME and self._cleanup(pane) <= self.context.mark

    # --- triggers ---

    def _at_element(self, trigger: Any, pane: Pane, time: int) -> tuple[bool, bool]:
        """Whether the window fires, and whether it is emptied then."""
        if isinstance(trigger, Purging):
            fires, _ = self._at_element(trigger.inner, pane, time)
            return fires, fires
        if isinstance(trigger, AtCount):
            pane.count += 1
            fires = pane.count >= trigger.count
            pane.count = 0 if fires else pane.count
            return fires, False
        if isinstance(trigger, Never):
            return False, False
        if self.spec.is_event_time and pane.last <= self.context.mark:
            return True, False
        if self.spec.is_event_time or isinstance(trigger, AtEnd):
            pane.alarms.add(pane.last)
        if isinstance(trigger, Every) and pane.next is None:
            self._next(trigger, pane, time // trigger.interval * trigger.interval)
        return False, False

    def _at_alarm(self, trigger: Any, pane: Pane, alarm: int) -> tuple[bool, bool]:
        if isinstance(trigger, Purging):
            fires, _ = self._at_alarm(trigger.inner, pane, alarm)
            return fires, fires
        at_end = alarm == pane.last and isinstance(trigger, (AtEnd, Every) if self.spec.is_event_time else AtEnd)
        if isinstance(trigger, Every) and not at_end and alarm == pane.next:
            self._next(trigger, pane, alarm)
            return True, False
        return at_end, False

    def _next(self, trigger: Every, pane: Pane, time: int) -> None:
        pane.next = min(time + trigger.interval, pane.last)
        if not self.is_ending:
            pane.alarms.add(pane.next)

    # --- time ---

    def mark(self, mark: Mark) -> None:
        self.context.mark = mark.time
        if self.spec.is_event_time:
            self._ring(mark.time)
        self.results.pass_on(mark)

    def tick(self, tick: Tick) -> None:
        self.context.now = tick.time
        if not self.spec.is_event_time:
            self._ring(tick.time - 1)

    def _ring(self, until: int) -> None:
        """All alarms up to a time, in order; windows whose time is over go."""
        while True:
            due = [(alarm, pane) for pane in self.panes for alarm in pane.alarms if alarm <= until]
            due += [(self._cleanup(pane), pane) for pane in self.panes if self._cleanup(pane) <= until]
            if not due:
                return
            alarm, pane = min(due, key=lambda one: one[0])
            pane.alarms.discard(alarm)
            self._act(pane, *self._at_alarm(self.spec.trigger, pane, alarm))
            if alarm == self._cleanup(pane):
                self.panes.remove(pane)
                if hasattr(self.function, "clear"):
                    self.context.pane = pane
                    self.function.clear(self.context)

    # --- firing ---

    def _act(self, pane: Pane, fires: bool, purges: bool) -> None:
        if fires and pane.elements:
            self._emit(pane)
        if purges:
            pane.elements = []

    def _emit(self, pane: Pane) -> None:
        spec = self.spec
        if spec.keep_last is not None:
            pane.elements = pane.elements[-spec.keep_last :]
        elements = [value for _, value in pane.elements]
        seen = elements if spec.fold is None else [spec.fold(elements)]
        self.context.pane = pane
        made = seen if self.function is None else self.function.process(pane.key, self.context, seen)
        self.results.emit(made, pane.last)


def window(stream: Stream, key: Key, spec: Windowing) -> Results:
    run = Run(spec)
    for one in stream:
        if isinstance(one, Event):
            run.element(key(one.value), one)
        elif isinstance(one, Tick):
            run.tick(one)
        elif one.time > run.context.mark:
            run.mark(one)
    return run.results


def window_batch(stream: Stream, key: Key, spec: Windowing) -> Results:
    """BATCH mode: one key after the other, in order of time; windows fire when the key's elements are over."""
    results = Results()
    for events in groups(stream, key).values():
        run = Run(spec)
        for event in events:
            run.element(key(event.value), event)
        run.is_ending = True
        run.mark(END) if spec.is_event_time else run.tick(Tick(END_OF_TIME))
        results.main += [one for one in run.results.main if isinstance(one, Event)]
    results.pass_on(END)
    return results
