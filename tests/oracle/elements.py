"""What flows in the oracle: events with their time, marks of event time, ticks of processing time.

The oracle is a second, naive interpreter of the transformations: one thread, Python lists, written from what Flink
documents. It shares no code with shmflink's operators, state or tasks; user functions are the same classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

NO_TIME = -(2**63)
END_OF_TIME = 2**63 - 1


@dataclass(frozen=True)
class Event:
    """An element. `time` None: it has no timestamp."""

    value: Any
    time: int | None = None


@dataclass(frozen=True)
class Mark:
    """A watermark: event time has come to `time`."""

    time: int


@dataclass(frozen=True)
class Tick:
    """Processing time has come to `time`."""

    time: int


END = Mark(END_OF_TIME)

Element = Event | Mark | Tick
Stream = list[Element]


@dataclass
class Results:
    """What an operator gives: its main output, and its side outputs by the tag's name."""

    main: Stream = field(default_factory=list)
    sides: dict[str, Stream] = field(default_factory=dict)

    def side(self, tag: str) -> Stream:
        """The side output, which has all marks of the main one."""
        return self.sides.setdefault(tag, [one for one in self.main if isinstance(one, Mark)])

    def emit(self, emitted: Iterable[Any] | None, time: int | None) -> None:
        """`(OutputTag, value)` goes to a side output."""
        for one in emitted or ():
            if isinstance(one, tuple) and one and hasattr(one[0], "tag_id"):
                self.put_aside(one[0].tag_id, one[1], time)
            else:
                self.main.append(Event(one, time))

    def put_aside(self, tag: str, value: Any, time: int | None) -> None:
        self.side(tag).append(Event(value, time))

    def pass_on(self, mark: Mark) -> None:
        self.main.append(mark)
        for side in self.sides.values():
            side.append(mark)


def values(stream: Stream) -> list[Any]:
    """The values of the events."""
    return [one.value for one in stream if isinstance(one, Event)]


def timed_values(stream: Stream) -> list[tuple[int | None, Any]]:
    """(time, value) of the events."""
    return [(one.time, one.value) for one in stream if isinstance(one, Event)]


def typed(key: Any) -> Any:
    """Keys of different type are different keys: 1, 1.0 and True are three."""
    return (type(key).__name__, tuple(map(typed, key)) if isinstance(key, tuple) else key)


# --- transformations without state ---


def map_(stream: Stream, function: Callable[[Any], Any]) -> Stream:
    return [Event(function(one.value), one.time) if isinstance(one, Event) else one for one in stream]


def filter_(stream: Stream, function: Callable[[Any], Any]) -> Stream:
    return [one for one in stream if not isinstance(one, Event) or function(one.value)]


def flat_map(stream: Stream, function: Callable[[Any], Iterable[Any] | None]) -> Stream:
    made: Stream = []
    for one in stream:
        if isinstance(one, Event):
            made += [Event(value, one.time) for value in function(one.value) or ()]
        else:
            made.append(one)
    return made


def timestamps_and_marks(
    rows: Iterable[Any], time_of: Callable[[Any], int], mark_of: Callable[[Any], int | None]
) -> Stream:
    """A source with a generator that may give a watermark after each row: those that do not grow are dropped."""
    made: Stream = []
    reached = NO_TIME
    for row in rows:
        made.append(Event(row, time_of(row)))
        mark = mark_of(row)
        if mark is not None and mark > reached:
            reached = mark
            made.append(Mark(mark))
    return [*made, END]


def union(streams: list[Stream], turns: Iterable[int]) -> Stream:
    """Elements in the order of `turns` (which stream is next), then the rest; the mark is the minimum of all."""
    made: Stream = []
    marks = [NO_TIME] * len(streams)
    reached = NO_TIME
    for which, element in interleaved(streams, turns):
        if isinstance(element, Mark):
            marks[which] = max(marks[which], element.time)
            if min(marks) > reached:
                reached = min(marks)
                made.append(Mark(reached))
        else:
            made.append(element)
    return made


def interleaved(streams: list[Stream], turns: Iterable[int]) -> list[tuple[int, Element]]:
    """(stream, element): one of the stream whose turn it is, where it has one left; then the rest."""
    left = [list(stream) for stream in streams]
    order = [which for which in turns if which < len(streams)]
    order += [which for which, stream in enumerate(streams) for _ in stream]
    return [(which, left[which].pop(0)) for which in order if left[which]]
