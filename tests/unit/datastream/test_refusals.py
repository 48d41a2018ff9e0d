"""A method that refuses its arguments leaves the environment unchanged: nothing of the call is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Time, Types
from shmflink.connectors.print_sink import PrintSink
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.state import MapStateDescriptor
from shmflink.datastream.window import TumblingProcessingTimeWindows
from shmflink.errors import ConfigurationError, JobGraphError, ShmflinkError, TypeMismatchError
from shmflink.expressions import col, count

NAMED = Types.ROW_NAMED(["n", "s"], [Types.INT(), Types.STRING()])
SECONDS = TumblingProcessingTimeWindows.of(Time.seconds(1))


def rows(env: StreamExecutionEnvironment) -> Any:
    return env.from_collection([(1, "a")], NAMED)


STREAMS: dict[str, Callable[[Any], Any]] = {
    "stream of columns": rows,
    "stream of objects": lambda env: env.from_collection([1, 2]),
    "keyed by a function": lambda env: rows(env).key_by(lambda row: row[0]),
    "keyed by a column": lambda env: rows(env).key_by("n"),
    "updates": lambda env: rows(env).key_by("n").aggregate(all=count()),
    "windows": lambda env: rows(env).key_by(lambda row: row[0]).window(SECONDS),
    "windows by column": lambda env: rows(env).key_by("n").window(SECONDS),
    "windows over all": lambda env: rows(env).window_all(SECONDS),
    "connected": lambda env: rows(env).connect(env.from_collection([1])),
    "connected with keys": lambda env: rows(env).key_by("n").connect(env.from_collection([1]).key_by(lambda n: n)),
    "connected with a broadcast": lambda env: rows(env).connect(
        env.from_collection([1]).broadcast(MapStateDescriptor("m", Types.INT(), Types.INT()))
    ),
}
WRONG: list[Any] = [
    None, 5, -7, 2.5, "zz", "n", ("n",), [], {}, object(), len, lambda a, b: a, col("zz"), col("n"), count(),
    pa.schema([("q", pa.int8())]), Types.INT(), PrintSink(None), NAMED, SECONDS,
]  # fmt: skip
NAMED_WRONG: list[dict[str, Any]] = [
    {"output_type": 5}, {"a": col("zz")}, {"a": 5}, {"a": count()}, {"a": count().substring(0)}, {"a": col("s").sum},
]  # fmt: skip
CALLS = [((), {}), *(((value,), {}) for value in WRONG), *((tuple[Any, ...](), named) for named in NAMED_WRONG)]
RUNS = (
    "execute_and_collect",
    "iter_batches",
    "collect_arrow",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "print_schema",
    "schema",
)


@pytest.mark.parametrize("kind", STREAMS)
def test_what_is_refused_is_not_recorded(kind):
    env = StreamExecutionEnvironment.get_execution_environment()
    stream = STREAMS[kind](env)
    env.recorder.clear()
    refused = set[str]()
    for method in sorted(set(dir(stream)) - set(RUNS)):
        call = None if method.startswith("_") else getattr(stream, method)
        for positional, named in CALLS if callable(call) else ():
            try:
                call(*positional, **named)
            except (ShmflinkError, TypeError, ValueError, AttributeError):
                assert env.recorder.is_empty, f"{method}(*{positional}, **{named})"
                refused.add(method)
            env.recorder.clear()
    assert "process" in refused or len(refused) > 3, refused


def test_the_next_job_has_nothing_of_a_refused_call():
    env = StreamExecutionEnvironment.get_execution_environment()
    keyed = rows(env).key_by("n")
    for refused in (
        lambda: keyed.sink_to("file"),
        lambda: keyed.add_sink(None),
        lambda: keyed.assign_timestamps_and_watermarks(None),
        lambda: keyed.aggregate(a=count().substring(0)),
        lambda: keyed.print(col("n")),
    ):
        with pytest.raises((TypeError, TypeMismatchError)):
            refused()
    assert env.recorder.is_empty


def test_results_of_a_program_that_cannot_be_a_job_are_not_asked_for_in_the_next():
    env = StreamExecutionEnvironment.get_execution_environment()
    stream = env.from_collection([2])
    for run in (stream.execute_and_collect, stream.iter_batches, stream.key_by(lambda n: n).execute_and_collect):
        env.from_collection([1]).map(lambda n: n).uid("twice").map(lambda n: n).uid("twice").print()
        with pytest.raises(JobGraphError, match="twice"):
            run()
        assert env.recorder.is_empty


@pytest.mark.parametrize("timeout", [2.5, "5", None, True, -2])
def test_a_buffer_timeout_that_is_none_changes_nothing(timeout):
    env = StreamExecutionEnvironment.get_execution_environment()
    stream = env.from_collection([1]).map(str).set_buffer_timeout(7)
    with pytest.raises(ConfigurationError, match="whole number of ms"):
        env.set_buffer_timeout(timeout)
    with pytest.raises(JobGraphError, match="whole number of ms"):
        stream.set_buffer_timeout(timeout)
    assert env.get_buffer_timeout() == 100
    assert stream.node.settings.buffer_timeout_ms == 7
