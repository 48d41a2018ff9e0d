"""Functions of two streams: both keyed, or neither."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Types
from shmflink.datastream import CoFlatMapFunction, CoMapFunction
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.plan.calls import CoFlatMap, CoMap, KeyBy, Map, Union
from shmflink.planner.rules import lowered


class Both(CoMapFunction, CoFlatMapFunction):
    def map1(self, value: Any) -> Any:
        return value

    map2 = map1

    def flat_map1(self, value: Any) -> Any:
        yield value

    flat_map2 = flat_map1


@pytest.mark.parametrize("kind", [CoMap, CoFlatMap])
def test_keys_of_both_give_state_and_keys_of_one_are_refused(writer: PlanWriter, kind: Any) -> None:
    table = writer.table()
    keyed = writer.call(KeyBy(len), table)
    call = kind(Both())
    assert type(lowered(call, [keyed, keyed]).operators[0].operator).__name__.startswith("Keyed")
    assert not type(lowered(call, [table, table]).operators[0].operator).__name__.startswith("Keyed")
    with pytest.raises(JobGraphError, match=r"call key_by\(\) on the first"):
        lowered(call, [table, keyed])
    with pytest.raises(JobGraphError, match=r"call key_by\(\) on the second"):
        lowered(call, [keyed, table])


def test_streams_of_two_types_are_not_united(writer: PlanWriter) -> None:
    table = writer.table()
    with pytest.raises(TypeMismatchError, match="Cannot union streams of different types"):
        lowered(Union(), [table, writer.call(Map(len, Types.INT()), table)])
