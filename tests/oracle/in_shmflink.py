"""The oracle's descriptions said to shmflink, and its scripts played to an operator on the bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import pyarrow as pa
from oracle import windows as naive
from oracle.elements import END_OF_TIME, Event, Mark, Stream, Tick

from shmflink.common import Time, Types
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Watermark
from shmflink.core.keys.columns import encode_keys
from shmflink.core.output_tag import OutputTag
from shmflink.datastream.functions import ProcessAllWindowFunction, ProcessWindowFunction
from shmflink.datastream.state import ValueStateDescriptor
from shmflink.datastream.window import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    NeverTrigger,
    ProcessingTimeSessionWindows,
    ProcessingTimeTrigger,
    PurgingTrigger,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    Trigger,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowAssigner,
)
from shmflink.operators.base import SideOutput
from shmflink.testing import OperatorHarness


class Gap(SessionWindowTimeGapExtractor):
    def __init__(self, function: Callable[[Any], int]) -> None:
        self._function = function

    def extract(self, element: Any) -> int:
        return self._function(element)


def assigner_of(spec: naive.Windowing) -> WindowAssigner:
    """The assigner that the oracle's description stands for."""
    event_time, ms = spec.is_event_time, Time.milliseconds
    match spec.assigner:
        case naive.Tumbling(size, offset):
            tumbling = TumblingEventTimeWindows if event_time else TumblingProcessingTimeWindows
            return tumbling.of(ms(size), ms(offset))
        case naive.Sliding(size, slide, offset):
            sliding = SlidingEventTimeWindows if event_time else SlidingProcessingTimeWindows
            return sliding.of(ms(size), ms(slide), ms(offset))
        case naive.Session(gap):
            sessions = EventTimeSessionWindows if event_time else ProcessingTimeSessionWindows
            return sessions.with_dynamic_gap(Gap(gap)) if callable(gap) else sessions.with_gap(ms(gap))
        case naive.Counting(size, slide):
            is_tumbling = size == slide
            return CountTumblingWindowAssigner.of(size) if is_tumbling else CountSlidingWindowAssigner.of(size, slide)
    assert spec.assigner == naive.Everything()
    return GlobalWindows.create()


def trigger_of(spec: naive.Windowing, trigger: Any) -> Trigger:
    """The trigger that the oracle's description stands for."""
    match trigger:
        case naive.AtEnd():
            return EventTimeTrigger.create() if spec.is_event_time else ProcessingTimeTrigger.create()
        case naive.AtCount(count):
            return CountTrigger.of(count)
        case naive.Every(interval):
            every = ContinuousEventTimeTrigger if spec.is_event_time else ContinuousProcessingTimeTrigger
            return every.of(Time.milliseconds(interval))
        case naive.Purging(inner):
            return PurgingTrigger.of(trigger_of(spec, inner))
    return NeverTrigger()


class Describe(ProcessWindowFunction):
    """Emits (key, window, how often it fired, windows of the key so far, the elements in an order of their own)."""

    def __init__(self, *, merges: bool) -> None:
        self.merges = merges  # windows that merge have no state of their own
        self.fired = ValueStateDescriptor("fired", Types.LONG())
        self.total = ValueStateDescriptor("total", Types.LONG())

    def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
        window = context.window()
        bounds = (window.start, window.end) if hasattr(window, "start") else (getattr(window, "id", 0), END_OF_TIME)
        fired = (context.global_state() if self.merges else context.window_state()).get_state(self.fired)
        total = context.global_state().get_state(self.total)
        fired.update((fired.value() or 0) + 1)
        total.update((total.value() or 0) + 1)
        yield (key, bounds, fired.value(), sorted(repr(tuple(element)) for element in elements))

    def clear(self, context: Any) -> None:
        if not self.merges:
            context.window_state().get_state(self.fired).clear()


class DescribeAll(ProcessAllWindowFunction):
    """The same without a key; the oracle calls it the key None."""

    def __init__(self, describe: Describe) -> None:
        self.describe = describe

    def process(self, context: Any, elements: Any) -> Iterator[Any]:
        yield from self.describe.process(None, context, elements)

    def clear(self, context: Any) -> None:
        self.describe.clear(context)


Timed = tuple[Any, Any]


class Bench:
    """Plays a script to an operator and hands out what comes of each step, as sorted texts of (time, value)."""

    def __init__(self, operator: Any, key: Callable[[Any], Any] | None, **options: Any) -> None:
        self.harness = OperatorHarness(operator, key_selector=key, **options)
        self._key = key

    def __enter__(self) -> Self:
        self.harness.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.harness.close()

    def play(
        self, step: Stream, input_index: int = 0, key: Any = "the bench's"
    ) -> tuple[list[Timed], dict[str, list[Timed]]]:
        """A run of events, or one mark or tick. Returns the main output and the side outputs."""
        self.harness.clear()
        if isinstance(step[0], Event):
            selector = self._key if key == "the bench's" else key
            self.harness.process_batch(batch_of(step, selector), input_index)
        elif isinstance(step[0], Mark):
            self.harness.process_control(Watermark(step[0].time))
        else:
            assert isinstance(step[0], Tick)
            clock = self.harness.clock
            self.harness.advance_processing_time_ms(step[0].time - clock.processing_time_ms())
        return self._taken()

    def finish(self) -> tuple[list[Timed], dict[str, list[Timed]]]:
        self.harness.clear()
        self.harness.finish()
        return self._taken()

    def _taken(self) -> tuple[list[Timed], dict[str, list[Timed]]]:
        sides: dict[str, list[Timed]] = {}
        main: list[Timed] = []
        for element in self.harness.elements:
            if isinstance(element, SideOutput):
                sides.setdefault(element.tag, []).extend(timed(element.batch))
            elif isinstance(element, Batch):
                main += timed(element)
        return main, sides


def timed(batch: Batch) -> list[Timed]:
    stamps = [None] * batch.num_rows if batch.timestamps is None else batch.timestamps.to_pylist()
    return [
        (None if stamp == MIN_TIMESTAMP_MS else stamp, row) for stamp, row in zip(stamps, batch.rows(), strict=True)
    ]


def batch_of(events: Stream, key: Callable[[Any], Any] | None) -> Batch:
    rows = [event.value for event in events if isinstance(event, Event)]
    times = [event.time for event in events if isinstance(event, Event)]
    stamps = None
    if any(time is not None for time in times):
        stamps = pa.array([MIN_TIMESTAMP_MS if time is None else time for time in times], pa.int64())
    keys = None if key is None else encode_keys([key(row) for row in rows])
    return Batch.of_rows(rows, timestamps=stamps, keys=keys)


def late_tag(spec: naive.Windowing) -> OutputTag | None:
    return None if spec.late is None else OutputTag(spec.late)
