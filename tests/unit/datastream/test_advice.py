"""Errors for wrong arguments name the right way; completion shows what users call."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest

import shmflink.common as common
import shmflink.datastream as datastream
from shmflink.common import Duration, Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import DataStream, KeyedStream, MapFunction, StreamExecutionEnvironment, synonyms
from shmflink.datastream.state import StateTtlConfig
from shmflink.datastream.window import GlobalWindows, SlidingEventTimeWindows, TumblingProcessingTimeWindows
from shmflink.expressions import col


class _Assigner(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return 0


def stream() -> Any:
    return StreamExecutionEnvironment.get_execution_environment().from_collection([("a", 1)])


def keyed() -> Any:
    return stream().key_by(lambda row: row[0])


_PLAIN: Any = WatermarkStrategy.no_watermarks()
_STRATEGY: Any = WatermarkStrategy


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: _PLAIN.with_timestamp_assigner(col("ts")), r"to name a column, use with_timestamp_column\('ts'\)"),
        (lambda: _PLAIN.with_timestamp_assigner("ts"), r"to name a column, use with_timestamp_column\('ts'\)"),
        (lambda: _PLAIN.with_timestamp_assigner(lambda v, t: 1), r"extract_timestamp\(self, value, record_timestamp\)"),
        (lambda: _PLAIN.with_timestamp_assigner(_Assigner), r"with_timestamp_assigner\(_Assigner\(\)\)"),
        (lambda: _PLAIN.with_timestamp_column(col("ts")), "takes the name of a column, for example 'ts'"),
        (lambda: _PLAIN.with_idleness(5), r"Duration.of_seconds\(5\) or Time.seconds\(5\); got 5"),
        (lambda: _PLAIN.with_max_ahead(5), r"with_max_ahead\(\): the time is an amount with its unit"),
        (lambda: _PLAIN.with_watermark_alignment("group", 5), "the drift or interval is an amount with its unit"),
        (
            lambda: _STRATEGY.for_bounded_out_of_orderness(datetime.timedelta(seconds=5)),
            r"for example Duration.of_seconds\(5\) or Time.seconds\(5\); got datetime.timedelta",
        ),
        (lambda: TumblingProcessingTimeWindows.of(5), "is an amount with its unit"),  # type: ignore[arg-type]
        (lambda: StateTtlConfig.new_builder(5).build(), "the time to live is an amount"),  # type: ignore[arg-type]
        (
            lambda: stream().map(col("a")),
            r"is an expression: filter\(\), select\(\) and with_columns\(\) accept expressions",
        ),
        (lambda: stream().map(MapFunction), r"got the class MapFunction: pass an object of it, MapFunction\(\)"),
        (lambda: stream().connect(5), "takes a DataStream or a BroadcastStream, got 5"),
        (lambda: keyed().window(GlobalWindows.create()).trigger(5), r"trigger\(\) takes a Trigger, got 5"),
        (
            lambda: StreamExecutionEnvironment.get_execution_environment().from_collection([1], int),  # type: ignore[arg-type]
            r"for example Types.INT\(\); got <class 'int'>",
        ),
    ],
)
def test_what_is_given_in_the_wrong_way_names_the_right_one(call: Callable[[], Any], advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        call()


def test_times_are_given_as_time_or_duration() -> None:
    """Flink 2 replaces Time by Duration, PyFlink takes Time."""
    second, minute = Duration.of_seconds(1), Duration.of_minutes(1)
    assert repr(SlidingEventTimeWindows.of(minute, second)) == repr(  # type: ignore[arg-type]
        SlidingEventTimeWindows.of(Time.minutes(1), Time.seconds(1))
    )
    strategy: Any = WatermarkStrategy.for_bounded_out_of_orderness(Time.seconds(1))  # type: ignore[arg-type]
    assert strategy == WatermarkStrategy.for_bounded_out_of_orderness(second)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("window", "call key_by() first"),
        ("reduce", "call key_by() first"),
        ("group_by", "key_by() makes the groups"),
        ("collect", "execute_and_collect() runs the job"),
        ("keyBy", "did you mean key_by()?"),
        ("flatMap", "did you mean flat_map()?"),
    ],
)
def test_names_of_others_are_answered_with_ours(name: str, advice: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(stream(), name)
    assert advice in str(caught.value)


def connected() -> Any:
    one = stream()
    return one.connect(one)


OWNERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "stream": (stream, synonyms.STREAM),
    "environment": (StreamExecutionEnvironment.get_execution_environment, synonyms.ENVIRONMENT),
    "connected": (connected, synonyms.CONNECTED),
    "windowed": (lambda: keyed().count_window(2), synonyms.WINDOWED),
}


@pytest.mark.parametrize("owner", OWNERS)
def test_every_name_of_others_is_answered_and_none_hides_ours(owner: str) -> None:
    made, table = OWNERS[owner]
    for name, advice in table.items():
        for spelling in (name, re.sub(r"_([a-z])", lambda found: found[1].upper(), name)):
            with pytest.raises(AttributeError) as caught:
                getattr(made(), spelling)
            assert str(caught.value).endswith(f": {advice}")


def test_a_name_like_none_of_ours_gets_no_advice() -> None:
    with pytest.raises(AttributeError, match=r"'DataStream' has no attribute 'fourier'$"):
        _ = stream().fourier


def test_completion_shows_what_users_call() -> None:
    environment = StreamExecutionEnvironment.get_execution_environment()
    for obj in (stream(), keyed(), environment, DataStream, KeyedStream, StreamExecutionEnvironment):
        shown = set(dir(obj))
        assert not [name for name in shown if name.startswith("_") and not name.startswith("__")]
        assert shown.isdisjoint({"MISSING", "ADVICE", "INTERNAL", "stream_of", "declared_type", "record", "recorder"})
    assert {"map", "key_by", "execute_and_collect", "with_columns"} <= set(dir(stream()))
    assert {"reduce", "window", "process", "sum"} <= set(dir(keyed()))
    assert {"execute", "from_source", "read_csv"} <= set(dir(environment))
    assert dir(datastream) == sorted(datastream.__all__)
    assert "Types" in dir(common)
    assert "annotations" not in dir(common)
    assert stream().map(str, Types.STRING()).declared_type == Types.STRING()  # hidden, but there
