"""Results of functions against their declared types: exact, or an error that says which operator, record and field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.common import Row, Types
from shmflink.common.typeinfo import TypeInformation
from shmflink.datastream import (
    DataStream,
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
    StreamExecutionEnvironment,
)
from shmflink.errors import JobExecutionError
from shmflink.testing import MiniCluster


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=1):
        yield StreamExecutionEnvironment.get_execution_environment()


def collected(stream: DataStream) -> list[Any]:
    with stream.execute_and_collect() as rows:
        return list(rows)


BEYOND: list[tuple[TypeInformation, Any, str]] = [
    (Types.INT(), 2**31, "2147483648 is beyond INT, which holds -2147483648 to 2147483647: declare LONG"),
    (Types.SHORT(), 2**15, "32768 is beyond SHORT"),
    (Types.BYTE(), 300, "300 is beyond BYTE"),
    (Types.LONG(), 2**63, "9223372036854775808 is beyond LONG, which holds"),
    (Types.FLOAT(), 1e300, "1e+300 is beyond FLOAT"),
    (Types.BASIC_ARRAY(Types.INT()), [1, 2**31], "item 1: 2147483648 is beyond INT"),
    (Types.PRIMITIVE_ARRAY(Types.SHORT()), [2**15], "item 0: 32768 is beyond SHORT"),
    (Types.MAP(Types.STRING(), Types.INT()), {"k": 2**31}, "item 'k': 2147483648 is beyond INT"),
    (Types.TUPLE([Types.STRING(), Types.INT()]), ("a", 2**31), "field 1 (f1): 2147483648 is beyond INT"),
    (
        Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.ROW_NAMED(["c"], [Types.BYTE()])]),
        Row(a="x", b=Row(c=300)),
        "field 0 (c): 300 is beyond BYTE, which holds -128 to 127: declare SHORT, INT or LONG; the record: Row(a='x', ",
    ),
]


@pytest.mark.parametrize(("declared", "value", "message"), BEYOND, ids=lambda case: repr(case)[:40])
def test_a_result_beyond_its_type_fails_the_job(
    env: StreamExecutionEnvironment, declared: TypeInformation, value: Any, message: str
) -> None:
    stream = env.from_collection([1]).map(lambda _: value, declared).name("calculate")
    with pytest.raises(JobExecutionError, match=re.escape(message)) as failed:
        collected(stream)
    assert "operator 'calculate': the result does not fit output_type: record 0 of the batch" in str(failed.value)


TAG = OutputTag("large", Types.INT())


class Large(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield TAG, 2**31


class LargeKeyed(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield 2**31


class LargeMap(MapFunction):
    def map(self, value: Any) -> int:
        return 2**31


@pytest.mark.parametrize(
    "make",
    [
        lambda s: s.flat_map(lambda _: [2**31], Types.INT()),
        lambda s: s.process(Large()),
        lambda s: s.key_by(lambda _: 0).process(LargeKeyed(), Types.INT()),
        lambda s: s.key_by(lambda _: 0).map(LargeMap(), Types.INT()),
        lambda s: s.key_by(lambda _: 2**31, Types.INT()).map(lambda v: v),
        lambda s: s.map(lambda _: 2**30, Types.INT()).key_by(lambda _: 0).reduce(lambda a, b: a + b),
    ],
    ids=["flat_map", "side output", "process", "map of a keyed stream", "key", "reduce"],
)
def test_it_fails_wherever_a_function_gives_it(env: StreamExecutionEnvironment, make: Any) -> None:
    with pytest.raises(JobExecutionError, match="2147483648 is beyond INT"):
        collected(make(env.from_collection([1, 2])))


def test_elements_of_a_collection_wrap_as_in_flink(env: StreamExecutionEnvironment) -> None:
    assert collected(env.from_collection([2**31, 1], Types.INT())) == [-(2**31), 1]
    assert collected(env.from_collection([300], Types.BYTE())) == [44]


def test_what_fits_is_exact(env: StreamExecutionEnvironment) -> None:
    declared = Types.ROW([Types.LONG(), Types.FLOAT(), Types.BIG_INT()])
    rows = collected(env.from_collection([1]).map(lambda _: (2**63 - 1, 0.5, 2**200), declared))
    assert rows == [Row(f0=2**63 - 1, f1=0.5, f2=2**200)]
