"""Functions with keyed state and timers, rolling reductions, two inputs, broadcast state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from oracle.elements import END, END_OF_TIME, NO_TIME, Event, Mark, Results, Stream, Tick, interleaved, typed
from oracle.states import KeyedStates, Map

Key = Callable[[Any], Any]


class Domain(Enum):
    EVENT_TIME = 0
    PROCESSING_TIME = 1


class Context:
    """All contexts in one: of elements, of timers, and the timer service."""

    def __init__(self) -> None:
        self.key: Any = None
        self.time: int | None = None
        self.mark = NO_TIME
        self.now = 0
        self.domain: Domain | None = None
        self.timers: dict[tuple[int, Any, Domain], Any] = {}  # to the key itself
        self.broadcast: dict[str, dict[Any, Any]] = {}
        self.is_ending = False

    def timestamp(self) -> int | None:
        return self.time

    def get_current_key(self) -> Any:
        return self.key

    def time_domain(self) -> Domain | None:
        return self.domain

    def timer_service(self) -> Context:
        return self

    def current_watermark(self) -> int:
        return self.mark

    def current_processing_time(self) -> int:
        return self.now

    def register_event_time_timer(self, time: int) -> None:
        self._add(time, Domain.EVENT_TIME)

    def delete_event_time_timer(self, time: int) -> None:
        self.timers.pop((time, typed(self.key), Domain.EVENT_TIME), None)

    def register_processing_time_timer(self, time: int) -> None:
        self._add(time, Domain.PROCESSING_TIME)

    def delete_processing_time_timer(self, time: int) -> None:
        self.timers.pop((time, typed(self.key), Domain.PROCESSING_TIME), None)

    def _add(self, time: int, domain: Domain) -> None:
        if not self.is_ending:
            self.timers[time, typed(self.key), domain] = self.key

    def get_broadcast_state(self, descriptor: Any) -> Map:
        return Map(self.broadcast, descriptor.name)


class Run:
    """A function that runs: one key after the other, timers in the order of their times."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.context = Context()
        self.results = Results()
        open_function = getattr(function, "open", None)
        if open_function is not None:
            open_function(KeyedStates(lambda: self.context.key))

    def element(self, method: str, key: Any, event: Event) -> None:
        self.context.key, self.context.time, self.context.domain = key, event.time, None
        self.results.emit(getattr(self.function, method)(event.value, self.context), event.time)

    def mark(self, mark: Mark) -> None:
        """Timers first; then the mark goes on."""
        self.context.mark = mark.time
        self._fire(Domain.EVENT_TIME, mark.time)
        self.results.pass_on(mark)

    def tick(self, tick: Tick) -> None:
        """A timer of processing time fires when its time is over."""
        self.context.now = tick.time
        self._fire(Domain.PROCESSING_TIME, tick.time - 1)

    def end_of_key(self) -> None:
        """BATCH mode: all timers of event time, then those of processing time; none is added any more."""
        self.context.mark = END_OF_TIME
        self.context.is_ending = True
        self._fire(Domain.EVENT_TIME, END_OF_TIME)
        self._fire(Domain.PROCESSING_TIME, END_OF_TIME)

    def _fire(self, domain: Domain, until: int) -> None:
        while due := [timer for timer in self.context.timers if timer[2] is domain and timer[0] <= until]:
            timer = min(due, key=lambda one: one[0])
            self.context.key = self.context.timers.pop(timer)
            self.context.time, _, self.context.domain = timer
            on_timer = getattr(self.function, "on_timer", None)
            if on_timer is not None:
                self.results.emit(on_timer(timer[0], self.context), timer[0])


def process(stream: Stream, function: Any, key: Key | None = None) -> Results:
    """A (Keyed)ProcessFunction."""
    return process_inputs([stream], ["process_element"], function, [key])


def process_inputs(
    streams: list[Stream],
    methods: list[str],
    function: Any,
    keys: list[Key | None],
    turns: Iterable[int] = (),
) -> Results:
    """Functions with one or two inputs, whose elements come in the order of `turns`; marks are the minimum of both."""
    run = Run(copy.deepcopy(function))
    marks = [NO_TIME] * len(streams)
    for which, one in interleaved(streams, turns):
        key = keys[which]
        if isinstance(one, Event):
            run.element(methods[which], None if key is None else key(one.value), one)
        elif isinstance(one, Tick):
            run.tick(one)
        else:
            marks[which] = max(marks[which], one.time)
            if min(marks) > run.context.mark:
                run.mark(Mark(min(marks)))
    return run.results


def reduce(stream: Stream, key: Key, function: Callable[[Any, Any], Any]) -> Stream:
    """Every element gives an update of its key's value."""
    so_far: dict[Any, Any] = {}
    made: Stream = []
    for one in stream:
        if isinstance(one, Event):
            of = typed(key(one.value))
            so_far[of] = function(so_far[of], one.value) if of in so_far else one.value
            made.append(Event(so_far[of], one.time))
        else:
            made.append(one)
    return made


# --- BATCH mode: one key after the other, each key's elements in order of time ---


def groups(stream: Stream, key: Key) -> dict[Any, list[Event]]:
    """The events of each key in order of time, those of one time in order of arrival."""
    found: dict[Any, list[Event]] = {}
    for one in stream:
        if isinstance(one, Event):
            found.setdefault(typed(key(one.value)), []).append(one)
    return {
        of: sorted(events, key=lambda one: NO_TIME if one.time is None else one.time) for of, events in found.items()
    }


def process_batch(stream: Stream, function: Any, key: Key) -> Results:
    results = Results()
    for events in groups(stream, key).values():
        run = Run(copy.deepcopy(function))
        for event in events:
            run.element("process_element", key(event.value), event)
        run.end_of_key()
        results.main += run.results.main
        for tag, side in run.results.sides.items():
            results.side(tag).extend(side)
    results.pass_on(END)
    return results


def broadcast_batch(stream: Stream, rules: Stream, function: Any, key: Key) -> Stream:
    """A KeyedBroadcastProcessFunction: all rules first. What it emits for rules is left out."""
    first = Run(copy.deepcopy(function))
    for rule in rules:
        if isinstance(rule, Event):
            first.element("process_broadcast_element", None, rule)
    made: Stream = []
    for events in groups(stream, key).values():
        run = Run(copy.deepcopy(function))
        run.context.broadcast = first.context.broadcast
        for event in events:
            run.element("process_element", key(event.value), event)
        run.end_of_key()
        made += run.results.main
    return [*made, END]


def reduce_batch(stream: Stream, key: Key, function: Callable[[Any, Any], Any]) -> Stream:
    """The last update of each key."""
    keys = [typed(key(one.value)) for one in stream if isinstance(one, Event)]
    updates = [one for one in reduce(stream, key, function) if isinstance(one, Event)]
    return [*dict(zip(keys, updates, strict=True)).values(), END]
