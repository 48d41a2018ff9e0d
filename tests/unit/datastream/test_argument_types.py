"""Every method that accepts a declared type checks it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shmflink.common import Types
from shmflink.datastream import (
    AggregateFunction,
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    DataStream,
    KeyedProcessFunction,
    KeyedStream,
    ProcessFunction,
    StreamExecutionEnvironment,
    WindowFunction,
)
from shmflink.datastream.state import MapStateDescriptor
from shmflink.datastream.window import CountTumblingWindowAssigner

RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())


def made(kind: Any) -> Any:
    """An object of an abstract class."""
    return type("Made", (kind,), dict.fromkeys(kind.__abstractmethods__, lambda *_: None))()


def windows(stream: KeyedStream) -> Any:
    return stream.window(CountTumblingWindowAssigner(2))


METHODS: dict[str, Callable[[DataStream, KeyedStream], Any]] = {
    "map": lambda ds, _: ds.map(len, str),
    "flat_map": lambda ds, _: ds.flat_map(len, str),
    "map_batches": lambda ds, _: ds.map_batches(len, str),
    "process": lambda ds, _: ds.process(made(ProcessFunction), str),
    "keyed process": lambda _, keyed: keyed.process(made(KeyedProcessFunction), str),
    "connected map": lambda ds, _: ds.connect(ds).map(made(CoMapFunction), str),
    "connected flat_map": lambda ds, _: ds.connect(ds).flat_map(made(CoFlatMapFunction), str),
    "connected process": lambda ds, _: ds.connect(ds).process(made(CoProcessFunction), str),
    "broadcast process": lambda ds, _: ds.connect(ds.broadcast(RULES)).process(made(BroadcastProcessFunction), str),
    "window reduce": lambda _, keyed: windows(keyed).reduce(max, None, str),
    "window apply": lambda _, keyed: windows(keyed).apply(made(WindowFunction), str),
    "window aggregate": lambda _, keyed: windows(keyed).aggregate(made(AggregateFunction), None, None, str),
    "accumulator": lambda _, keyed: windows(keyed).aggregate(made(AggregateFunction), None, str),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_python_type_is_refused_with_what_to_write(method: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    numbers = env.from_collection([1, 2])
    with pytest.raises(TypeError, match=r"declare a type with shmflink\.common\.Types, .*; got <class 'str'>"):
        METHODS[method](numbers, numbers.key_by(lambda number: number))
