"""Per-record functions: with keyed state if the stream is keyed and the function may use it."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Types, WatermarkStrategy
from shmflink.datastream import FilterFunction, FlatMapFunction, MapFunction
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.operators.functions.filter import FilterOperator
from shmflink.operators.functions.flat_map import FlatMapOperator
from shmflink.operators.functions.keyed_functions import KeyedFilterOperator, KeyedFlatMapOperator, KeyedMapOperator
from shmflink.operators.functions.map import MapOperator
from shmflink.plan.calls import AssignTimestamps, Call, Filter, FlatMap, KeyBy, Map, Project, RollingAggregate
from shmflink.planner.rules import lowered


class Rich(MapFunction, FlatMapFunction, FilterFunction):
    def map(self, value: Any) -> Any:
        return value

    def flat_map(self, value: Any) -> Any:
        yield value

    def filter(self, value: Any) -> bool:
        return True


CALLS: list[tuple[Any, type, type]] = [
    (Map, MapOperator, KeyedMapOperator),
    (FlatMap, FlatMapOperator, KeyedFlatMapOperator),
    (Filter, FilterOperator, KeyedFilterOperator),
]


@pytest.mark.parametrize(("call", "plain", "keyed"), CALLS)
def test_a_rich_function_behind_a_key_gets_the_way_to_state(
    writer: PlanWriter, call: Any, plain: type, keyed: type
) -> None:
    table = writer.table()
    by_user = writer.call(KeyBy(lambda row: row[0]), table)

    def operator(function: Any, before: Any) -> type:
        return type(lowered(call(function), [before]).operators[0].operator)

    assert operator(Rich(), by_user) is keyed
    assert operator(Rich(), table) is plain
    assert operator(lambda row: row, by_user) is plain
    assert "with keyed state" in lowered(call(Rich()), [by_user]).why


def test_fields_of_tuples_are_checked(writer: PlanWriter) -> None:
    table = writer.table()
    with pytest.raises(TypeMismatchError, match="Only Tuple DataStreams"):
        lowered(Project((0,)), [table])
    pairs = writer.call(Map(lambda row: (1, "a"), Types.TUPLE([Types.INT(), Types.STRING()])), table)
    with pytest.raises(TypeMismatchError, match="indexes must be from 0 to 1"):
        lowered(Project((2,)), [pairs])
    assert lowered(Project((1,)), [pairs]).output_type == Types.TUPLE([Types.STRING()])


@pytest.mark.parametrize("kind", ["sum", "min", "max", "min_by", "max_by"])
def test_rolling_aggregates_are_called_as_in_flink(writer: PlanWriter, kind: str) -> None:
    made = lowered(RollingAggregate(kind, 0), [writer.table()])
    assert made.name == {"min_by": "MinBy", "max_by": "MaxBy"}.get(kind, kind.title())


def test_alignment_belongs_to_sources(writer: PlanWriter) -> None:
    from shmflink.common import Duration

    aligned = WatermarkStrategy.for_monotonous_timestamps().with_watermark_alignment("g", Duration.of_seconds(1))
    call: Call = AssignTimestamps(aligned)
    with pytest.raises(JobGraphError, match=r"belongs to from_source\(\)"):
        lowered(call, [writer.table()])
