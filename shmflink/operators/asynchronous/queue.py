"""The order in which results of asynchronous calls are emitted (Flink: Ordered- and UnorderedStreamElementQueue).

Pure, and used only by the slot's thread. An entry is added when its input arrives, completed when its call has ended,
and taken when its results may be emitted. Watermarks and statuses keep their position among the inputs in both orders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias

from shmflink.core.elements import ControlElement

__all__ = ["Entry", "OrderedQueue", "ResultQueue", "UnorderedQueue"]


class Entry:
    """One input and its results. `value` is passed to the user's function; `stamp` is additional data of the operator.

    The loop's thread sets `results` or `error`.
    """

    __slots__ = ("error", "in_method", "is_done", "results", "segment", "stamp", "value")

    def __init__(self, value: Any, stamp: Any) -> None:
        self.value = value
        self.stamp = stamp
        self.results: Any = None
        self.error: BaseException | None = None
        self.in_method = ""
        self.is_done = False
        self.segment: _Segment | None = None

    def take_results(self) -> Iterable[Any] | None:
        """Removes and returns the results."""
        results: Iterable[Any] | None = self.results
        self.results = None
        return results


Taken: TypeAlias = Entry | ControlElement


class ResultQueue(Protocol):
    """Inputs whose results were not emitted yet, with the control elements between them."""

    def __len__(self) -> int:
        """The number of inputs."""
        ...

    def add(self, entry: Entry) -> None:
        """Appends an input."""
        ...

    def add_control(self, element: ControlElement) -> None:
        """Appends a control element, which is emitted after all results of the inputs before it."""
        ...

    def complete(self, entry: Entry) -> None:
        """The call of this entry has ended."""
        ...

    @property
    def has_ready(self) -> bool:
        """Whether `take` yields something."""
        ...

    def take(self) -> Iterator[Taken]:
        """Removes and yields what may be emitted now."""
        ...

    def inputs(self) -> Iterator[Entry]:
        """All inputs, in order of arrival."""
        ...


class OrderedQueue:
    """Emits results in the order of their inputs."""

    def __init__(self) -> None:
        self._elements: deque[Taken] = deque()
        self._inputs = 0

    def __len__(self) -> int:
        return self._inputs

    def add(self, entry: Entry) -> None:
        self._elements.append(entry)
        self._inputs += 1

    def add_control(self, element: ControlElement) -> None:
        self._elements.append(element)

    def complete(self, entry: Entry) -> None:
        entry.is_done = True

    @property
    def has_ready(self) -> bool:
        return bool(self._elements) and _may_leave(self._elements[0])

    def take(self) -> Iterator[Taken]:
        while self.has_ready:
            element = self._elements.popleft()
            self._inputs -= isinstance(element, Entry)
            yield element

    def inputs(self) -> Iterator[Entry]:
        return (element for element in self._elements if isinstance(element, Entry))


class UnorderedQueue:
    """Emits results in the order in which calls end, but never across a watermark or status."""

    def __init__(self) -> None:
        self._segments: deque[_Segment] = deque([_Segment()])
        self._inputs = 0

    def __len__(self) -> int:
        return self._inputs

    def add(self, entry: Entry) -> None:
        segment = self._segments[-1]
        if segment.end is not None:
            segment = _Segment()
            self._segments.append(segment)
        entry.segment = segment
        segment.open[entry] = None
        self._inputs += 1

    def add_control(self, element: ControlElement) -> None:
        if self._segments[-1].end is not None:
            self._segments.append(_Segment())
        self._segments[-1].end = element

    def complete(self, entry: Entry) -> None:
        segment = entry.segment
        assert segment is not None, "an entry that was not added"
        entry.is_done = True
        segment.done.append(entry)

    @property
    def has_ready(self) -> bool:
        first = self._segments[0]
        return bool(first.done) or (not first.open and first.end is not None)

    def take(self) -> Iterator[Taken]:
        while True:
            first = self._segments[0]
            while first.done:
                entry = first.done.popleft()
                del first.open[entry]
                self._inputs -= 1
                yield entry
            if first.open or first.end is None:
                return
            if len(self._segments) == 1:
                self._segments.append(_Segment())
            self._segments.popleft()
            yield first.end

    def inputs(self) -> Iterator[Entry]:
        return (entry for segment in self._segments for entry in segment.open)


class _Segment:
    """The inputs between two control elements: `open` are not done, `done` may be emitted; `end` is the closing
    element.
    """

    __slots__ = ("done", "end", "open")

    def __init__(self) -> None:
        self.open: Final[dict[Entry, None]] = {}
        self.done: Final[deque[Entry]] = deque()
        self.end: ControlElement | None = None


def _may_leave(element: Taken) -> bool:
    return not isinstance(element, Entry) or element.is_done
