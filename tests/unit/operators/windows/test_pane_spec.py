"""What a vectorized window computes."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from shmflink.core.time_units import Time
from shmflink.errors import TypeMismatchError
from shmflink.expressions import AggregateCall, col
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.windows.assigners import (
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowAssigner,
)
from shmflink.operators.windows.pane_spec import PaneTimes, SessionTimes, WindowAggregateSpec, WindowTimes

SCHEMA = pa.schema([("key", pa.string()), ("value", pa.int64())])
AGGREGATE = AggregateSpec(SCHEMA, (("key", col("key")),), (("n", AggregateCall("count")),))


class Gap:
    def extract(self, element: object) -> int:
        return 1


class Own(TumblingEventTimeWindows):
    """May assign other windows than its parent."""


@pytest.mark.parametrize(
    ("assigner", "times"),
    [
        (TumblingEventTimeWindows(10, 3), PaneTimes(10, 10, 3)),
        (TumblingProcessingTimeWindows(10, 0), PaneTimes(10, 10, 0, False)),
        (SlidingEventTimeWindows(10, 2, 1), PaneTimes(10, 2, 1)),
        (SlidingProcessingTimeWindows(10, 2, 1), PaneTimes(10, 2, 1, False)),
        (EventTimeSessionWindows.with_gap(Time.seconds(1)), SessionTimes(1000)),
        (ProcessingTimeSessionWindows(5), SessionTimes(5, False)),
        (EventTimeSessionWindows.with_dynamic_gap(Gap()), None),  # type: ignore[arg-type]
        (GlobalWindows(), None),
        (CountTumblingWindowAssigner(3), None),
        (Own(10, 0), None),
    ],
)
def test_windows_made_by_time_and_constants_are_known(assigner: WindowAssigner, times: WindowTimes | None) -> None:
    assert assigner.fixed_times() == times


@pytest.mark.parametrize("times", [PaneTimes(10, 10), PaneTimes(10, 4, 1), PaneTimes(4, 10)])
def test_late_rows_are_those_in_late_windows_only(times: PaneTimes) -> None:
    for watermark in range(-20, 20):
        bound = times.late_before_ms(watermark, 3)
        ends = [bound - times.slide_ms + times.size_ms, bound + times.size_ms]
        assert [end - 1 + 3 <= watermark for end in ends] == [True, False]
        assert (bound - times.offset_ms) % times.slide_ms == 0


def test_columns_of_the_window_stand_between_keys_and_results() -> None:
    spec = WindowAggregateSpec(AGGREGATE, PaneTimes(10, 10))
    assert spec.result_schema.names == ["key", "window_start", "window_end", "n"]
    assert spec.result_schema.types[1:3] == [pa.timestamp("ms")] * 2
    made = WindowAggregateSpec(AGGREGATE, PaneTimes(10, 10), columns=(("twice", col("n") * 2),))
    assert made.result_schema == pa.schema([("twice", pa.int64())])


@pytest.mark.parametrize("names", [("key", "end"), ("start", "n"), ("same", "same")])
def test_names_that_are_there_twice_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(TypeMismatchError, match="window_start="):
        WindowAggregateSpec(AGGREGATE, PaneTimes(10, 10), names)


def test_it_travels() -> None:
    spec = WindowAggregateSpec(AGGREGATE, SessionTimes(5), columns=(("twice", col("n") * 2),))
    assert spec.result_schema.names == ["twice"]
    again = pickle.loads(pickle.dumps(spec))
    assert again.result_schema == spec.result_schema
    assert again.times == spec.times
