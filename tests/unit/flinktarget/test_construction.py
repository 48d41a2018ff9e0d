"""Types, tags, descriptors, windows and triggers, as PyFlink makes them."""

from __future__ import annotations

from typing import Any

import pytest

from shmflink.common import Duration, Time, Types
from shmflink.core.output_tag import OutputTag
from shmflink.datastream.state import MapStateDescriptor, StateTtlConfig, ValueStateDescriptor
from shmflink.datastream.window import (
    ContinuousEventTimeTrigger,
    CountSlidingWindowAssigner,
    CountTrigger,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    PurgingTrigger,
    SlidingEventTimeWindows,
)
from shmflink.flinktarget.construction import construction_of, text_of


@pytest.mark.parametrize(
    "text",
    [
        "Types.LONG()",
        "Types.INSTANT()",
        "Types.SQL_TIMESTAMP()",
        "Types.PICKLED_BYTE_ARRAY()",
        "Types.PRIMITIVE_ARRAY(Types.BYTE())",
        "Types.LIST(Types.STRING())",
        "Types.MAP(Types.STRING(), Types.LIST(Types.BIG_DEC()))",
        "Types.TUPLE([Types.STRING(), Types.INT()])",
        "Types.ROW([Types.STRING(), Types.INT()])",
        "Types.ROW_NAMED(['a', 'b'], [Types.STRING(), Types.ROW([Types.DOUBLE()])])",
    ],
)
def test_types_are_written_as_programs_write_them(text: str) -> None:
    assert text_of(eval(text, {"Types": Types})) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (OutputTag("late", Types.STRING()), "OutputTag('late', Types.STRING())"),
        (Duration.of_seconds(2), "Duration.of_millis(2000)"),
        (
            SlidingEventTimeWindows.of(Time.seconds(4), Time.seconds(1)),
            "SlidingEventTimeWindows(4000, 1000, 0)",
        ),
        (EventTimeSessionWindows.with_gap(Time.seconds(3)), "EventTimeSessionWindows(3000)"),
        (CountSlidingWindowAssigner.of(4, 2), "CountSlidingWindowAssigner(4, 2)"),
        (GlobalWindows.create(), "GlobalWindows()"),
        (PurgingTrigger.of(CountTrigger.of(3)), "PurgingTrigger.of(CountTrigger.of(3))"),
        (ContinuousEventTimeTrigger.of(Time.seconds(1)), "ContinuousEventTimeTrigger(1000)"),
        (MapStateDescriptor("m", Types.STRING(), Types.INT()), "MapStateDescriptor('m', Types.STRING(), Types.INT())"),
        (["a", 1, None, True], "['a', 1, None, True]"),
    ],
)
def test_other_objects_are_too(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_what_pyflink_would_make_otherwise_has_no_text() -> None:
    class Mine(EventTimeTrigger):
        """The user's own: it travels pickled."""

    expiring = ValueStateDescriptor("v", Types.INT())
    expiring.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(1)).build())
    for value in (Mine(), expiring, object(), [object()], float("inf")):
        assert construction_of(value) is None
        assert text_of(value) is None
