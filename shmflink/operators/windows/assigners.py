"""Assigns elements to windows (PyFlink: WindowAssigner)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, TypeAlias

from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.core.time_units import Time, milliseconds_of
from shmflink.core.types.parameters import W2, T, TakesTypeParameters, W
from shmflink.core.types.typeinfo import Types
from shmflink.errors import JobGraphError, UsageError
from shmflink.operators.functions.runtime_context import OperatorRuntimeContext
from shmflink.operators.windows.triggers import (
    CountTrigger,
    EventTimeTrigger,
    NeverTrigger,
    ProcessingTimeTrigger,
    PurgingTrigger,
    Trigger,
)
from shmflink.operators.windows.window import CountWindow, GlobalWindow, TimeWindow, Window
from shmflink.operators.windows.window_times import PaneTimes, SessionTimes, WindowTimes
from shmflink.state.descriptors import ValueStateDescriptor

__all__ = [
    "CountSlidingWindowAssigner",
    "CountTumblingWindowAssigner",
    "DynamicEventTimeSessionWindows",
    "DynamicProcessingTimeSessionWindows",
    "EventTimeSessionWindows",
    "GlobalWindows",
    "MergingWindowAssigner",
    "ProcessingTimeSessionWindows",
    "SessionWindowTimeGapExtractor",
    "SlidingEventTimeWindows",
    "SlidingProcessingTimeWindows",
    "TumblingEventTimeWindows",
    "TumblingProcessingTimeWindows",
    "WindowAssigner",
    "WindowAssignerContext",
]


class WindowAssignerContext(TakesTypeParameters, ABC):
    """The context of an assigner."""

    @abstractmethod
    def get_current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""

    @abstractmethod
    def get_runtime_context(self) -> OperatorRuntimeContext:
        """State of the key, metrics, parameters."""


_Context: TypeAlias = WindowAssignerContext  # the class below has an attribute of this name


class WindowAssigner(TakesTypeParameters, ABC, Generic[T, W]):
    """Assigns elements to windows."""

    WindowAssignerContext: TypeAlias = _Context

    @abstractmethod
    def assign_windows(self, element: T, timestamp: int, context: _Context) -> Collection[W]:
        """The windows of an element."""

    @abstractmethod
    def get_default_trigger(self, env: Any) -> Trigger[T, W]:
        """The trigger if none was given."""

    def fixed_times(self) -> WindowTimes | None:
        """*shmflink only.* The windows, if they depend only on time and constants, otherwise None; also for
        subclasses.
        """
        return None

    def get_window_serializer(self) -> object:
        """None: PyFlink's coders have no use here, because windows are sent pickled."""
        return None

    @abstractmethod
    def is_event_time(self) -> bool:
        """Whether windows end by watermarks."""


class MergingWindowAssigner(WindowAssigner[T, W]):
    """For windows that grow by merging, such as sessions."""

    class MergeCallback(TakesTypeParameters, ABC, Generic[W2]):
        """Receives the windows to be merged."""

        @abstractmethod
        def merge(self, to_be_merged: Iterable[W2], merge_result: W2) -> None:
            """`to_be_merged` become `merge_result`."""

    @abstractmethod
    def merge_windows(self, windows: Iterable[W], callback: Any) -> None:
        """Calls `callback.merge(windows, result)` for each set of windows that merge."""


class SessionWindowTimeGapExtractor(TakesTypeParameters, ABC):
    """The gap after an element."""

    @abstractmethod
    def extract(self, element: Any) -> int:
        """Milliseconds, more than 0."""


class _EventTime(WindowAssigner):
    def get_default_trigger(self, env: Any) -> Trigger:
        return EventTimeTrigger()

    def is_event_time(self) -> bool:
        return True


class _ProcessingTime(WindowAssigner):
    def get_default_trigger(self, env: Any) -> Trigger:
        return ProcessingTimeTrigger()

    def is_event_time(self) -> bool:
        return False


def _checked(timestamp: int) -> int:
    if timestamp == MIN_TIMESTAMP_MS:
        raise UsageError(
            "the record has no timestamp, but event-time windows need one: call "
            "assign_timestamps_and_watermarks(), give "
            "from_source() a WatermarkStrategy with timestamps, or use processing-time windows"
        )
    return timestamp


class _Tumbling(WindowAssigner):
    def __init__(self, size: int, offset: int) -> None:
        if size <= 0 or abs(offset) >= size:
            raise JobGraphError(
                f"{type(self).__name__}: needs size > 0 and abs(offset) < size, got {size} and {offset}"
            )
        self.size = size
        self.offset = offset

    def _windows(self, at_ms: int) -> list[TimeWindow]:
        start = at_ms - (at_ms - self.offset) % self.size
        return [TimeWindow(start, start + self.size)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size}, {self.offset})"

    def fixed_times(self) -> WindowTimes | None:
        if type(self) not in (TumblingEventTimeWindows, TumblingProcessingTimeWindows):
            return None
        return PaneTimes(self.size, self.size, self.offset, self.is_event_time())


class TumblingEventTimeWindows(_Tumbling, _EventTime):
    """Consecutive windows of one size, by event time."""

    @staticmethod
    def of(size: Time, offset: Time | None = None) -> TumblingEventTimeWindows:
        return TumblingEventTimeWindows(milliseconds_of(size), _offset_ms(offset))

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        return self._windows(_checked(timestamp))


class TumblingProcessingTimeWindows(_Tumbling, _ProcessingTime):
    """Consecutive windows of one size, by processing time."""

    @staticmethod
    def of(size: Time, offset: Time | None = None) -> TumblingProcessingTimeWindows:
        return TumblingProcessingTimeWindows(milliseconds_of(size), _offset_ms(offset))

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        return self._windows(context.get_current_processing_time())


class _Sliding(WindowAssigner):
    def __init__(self, size: int, slide: int, offset: int) -> None:
        if size <= 0 or slide <= 0 or abs(offset) >= slide:
            raise JobGraphError(
                f"{type(self).__name__}: needs size > 0, slide > 0 and abs(offset) < slide, "
                f"got {size}, {slide} and {offset}"
            )
        self.size = size
        self.slide = slide
        self.offset = offset

    def _windows(self, at_ms: int) -> list[TimeWindow]:
        last = at_ms - (at_ms - self.offset) % self.slide
        return [TimeWindow(start, start + self.size) for start in range(last, at_ms - self.size, -self.slide)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size}, {self.slide}, {self.offset})"

    def fixed_times(self) -> WindowTimes | None:
        if type(self) not in (SlidingEventTimeWindows, SlidingProcessingTimeWindows):
            return None
        return PaneTimes(self.size, self.slide, self.offset, self.is_event_time())


class SlidingEventTimeWindows(_Sliding, _EventTime):
    """Windows of one size that begin every slide, by event time."""

    @staticmethod
    def of(size: Time, slide: Time, offset: Time | None = None) -> SlidingEventTimeWindows:
        return SlidingEventTimeWindows(milliseconds_of(size), milliseconds_of(slide), _offset_ms(offset))

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        return self._windows(_checked(timestamp))


class SlidingProcessingTimeWindows(_Sliding, _ProcessingTime):
    """Windows of one size that begin every slide, by processing time."""

    @staticmethod
    def of(size: Time, slide: Time, offset: Time | None = None) -> SlidingProcessingTimeWindows:
        return SlidingProcessingTimeWindows(milliseconds_of(size), milliseconds_of(slide), _offset_ms(offset))

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        return self._windows(context.get_current_processing_time())


class _Sessions(MergingWindowAssigner):
    def merge_windows(self, windows: Iterable[TimeWindow], callback: Any) -> None:
        TimeWindow.merge_windows(windows, callback)


class _FixedGap(_Sessions):
    def __init__(self, session_gap: int) -> None:
        if session_gap <= 0:
            raise JobGraphError(f"{type(self).__name__}: needs a gap of more than 0 ms, got {session_gap}")
        self.session_gap = session_gap

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_gap})"

    def fixed_times(self) -> WindowTimes | None:
        if type(self) not in (EventTimeSessionWindows, ProcessingTimeSessionWindows):
            return None
        return SessionTimes(self.session_gap, self.is_event_time())


class _DynamicGap(_Sessions):
    def __init__(self, session_window_time_gap_extractor: SessionWindowTimeGapExtractor) -> None:
        refuse_coroutines(session_window_time_gap_extractor, "extract")
        self._extractor = session_window_time_gap_extractor
        self._extract: Callable[[Any], int] = getattr(self._extractor, "extract", self._extractor)  # type: ignore[arg-type]

    def _gap(self, element: Any) -> int:
        gap = self._extract(element)
        if gap <= 0:
            raise UsageError(f"a session's gap must be more than 0 ms, but the extractor returned {gap}")
        return gap

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._extractor).__name__})"


class EventTimeSessionWindows(_FixedGap, _EventTime):
    """Elements within the gap of each other form a session, by event time."""

    @staticmethod
    def with_gap(size: Time) -> EventTimeSessionWindows:
        return EventTimeSessionWindows(milliseconds_of(size))

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows:
        """The gap depends on the element."""
        return DynamicEventTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        return [TimeWindow(_checked(timestamp), timestamp + self.session_gap)]


class ProcessingTimeSessionWindows(_FixedGap, _ProcessingTime):
    """Elements within the gap of each other form a session, by processing time."""

    @staticmethod
    def with_gap(size: Time) -> ProcessingTimeSessionWindows:
        return ProcessingTimeSessionWindows(milliseconds_of(size))

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows:
        """The gap depends on the element."""
        return DynamicProcessingTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        now_ms = context.get_current_processing_time()
        return [TimeWindow(now_ms, now_ms + self.session_gap)]


class DynamicEventTimeSessionWindows(_DynamicGap, _EventTime):
    """Sessions by event time whose gap depends on the element."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows:
        return DynamicEventTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        return [TimeWindow(_checked(timestamp), timestamp + self._gap(element))]


class DynamicProcessingTimeSessionWindows(_DynamicGap, _ProcessingTime):
    """Sessions by processing time whose gap depends on the element."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows:
        return DynamicProcessingTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[TimeWindow]:
        now_ms = context.get_current_processing_time()
        return [TimeWindow(now_ms, now_ms + self._gap(element))]


class GlobalWindows(WindowAssigner):
    """All elements of a key in one window, which never ends: give it a trigger."""

    @staticmethod
    def create() -> GlobalWindows:
        return GlobalWindows()

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[GlobalWindow]:
        return [GlobalWindow.get()]

    def get_default_trigger(self, env: Any) -> Trigger:
        return NeverTrigger()

    def is_event_time(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "GlobalWindows()"


class _Counting(WindowAssigner):
    """Counts the elements of each key."""

    def __init__(self, window_size: int, name: str) -> None:
        if window_size < 1:
            raise JobGraphError(f"{type(self).__name__}: needs a size of at least 1, got {window_size}")
        self.window_size = window_size
        self._descriptor = ValueStateDescriptor(name, Types.LONG())

    def _next(self, context: _Context) -> int:
        state = context.get_runtime_context().get_state(self._descriptor)
        count: int = state.value() or 0
        state.update(count + 1)
        return count

    def get_default_trigger(self, env: Any) -> Trigger:
        return PurgingTrigger(CountTrigger(self.window_size))

    def is_event_time(self) -> bool:
        return False


class CountTumblingWindowAssigner(_Counting):
    """Every `window_size` elements of a key form a window; one that is not full never fires."""

    def __init__(self, window_size: int) -> None:
        super().__init__(window_size, "tumble-count-assigner")

    @staticmethod
    def of(window_size: int) -> CountTumblingWindowAssigner:
        return CountTumblingWindowAssigner(window_size)

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[Window]:
        return [CountWindow(self._next(context) // self.window_size)]

    def __repr__(self) -> str:
        return f"CountTumblingWindowAssigner({self.window_size})"


class CountSlidingWindowAssigner(_Counting):
    """Windows of `window_size` elements that begin after every `window_slide` elements of a key."""

    def __init__(self, window_size: int, window_slide: int) -> None:
        super().__init__(window_size, "slide-count-assigner")
        if window_slide < 1:
            raise JobGraphError(f"CountSlidingWindowAssigner: needs a slide of at least 1, got {window_slide}")
        self.window_slide = window_slide

    @staticmethod
    def of(window_size: int, window_slide: int) -> CountSlidingWindowAssigner:
        return CountSlidingWindowAssigner(window_size, window_slide)

    def assign_windows(self, element: Any, timestamp: int, context: _Context) -> list[Window]:
        count = self._next(context)
        last = count // self.window_slide
        first = max(0, (count - self.window_size) // self.window_slide + 1)
        return [CountWindow(number) for number in range(last, first - 1, -1)]

    def __repr__(self) -> str:
        return f"CountSlidingWindowAssigner({self.window_size}, {self.window_slide})"


def _offset_ms(offset: Time | None) -> int:
    return 0 if offset is None else milliseconds_of(offset)
