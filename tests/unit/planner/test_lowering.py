"""Rules are combined: numbers, settings, origins; and every kind of call has a rule."""

from __future__ import annotations

from dataclasses import replace

from oracle.plan_writer import PlanWriter

from shmflink.connectors.discard import DiscardSink
from shmflink.core.output_tag import OutputTag
from shmflink.expressions import col, count
from shmflink.plan import calls
from shmflink.plan.calls import Aggregate, Final, KeyBy, Map, PartitionCustom, SideOutput, Union, Values, Write
from shmflink.planner.rules import RULES, rule_at
from shmflink.planner.transformations import SourceTransformation

USER = (("user", col("user")),)


def test_every_kind_of_call_has_a_rule() -> None:
    kinds = {getattr(calls, name) for name in calls.__all__}
    wanted = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, calls.Call)}
    assert wanted - {calls.Call, calls.CallOfFunction} == set(RULES)
    assert all(callable(rule_at(where)) for where in RULES.values())


def test_numbers_follow_the_order_of_calls_whatever_becomes_of_them(writer: PlanWriter) -> None:
    """A plan shows what it always did, and operators without uid keep their ids."""
    table, other = writer.table(), writer.table()
    unused = writer.call(KeyBy(len), table)  # takes its numbers, though nobody reads it
    both = writer.call(Union(), table, other)
    custom = writer.call(PartitionCustom(lambda key, n: 0, len), both)
    counts = writer.call(Aggregate(USER, (("n", count()),)), both)
    last = writer.call(Write(DiscardSink(), "Nowhere"), writer.call(Final(), counts))
    assert [node.id for node in (unused, both, custom, counts, last)] == [3, 5, 6, 10, 16]
    made = writer.transformations()
    assert made[16].name == "Nowhere"
    assert {number: made[number].origin for number in (10, 11, 13, 14)} == {10: 10, 11: 10, 13: 10, 14: 10}


def test_settings_are_those_of_the_operator_that_the_program_sees(writer: PlanWriter) -> None:
    counts = writer.call(Aggregate(USER, (("mean", col("price").sum / count()),)), writer.table())
    settings = replace(counts.settings, parallelism=3, uid="mine")
    writer.nodes[-1] = replace(counts, name="means", settings=settings)
    made = writer.transformations()
    local, _, total, finish = (made[counts.id + step] for step in range(4))
    assert (finish.name, finish.parallelism, finish.uid) == ("means", 3, "mine")
    assert (total.name, total.parallelism, total.uid) == ("Aggregate", 4, None)
    assert local.parallelism is None
    assert {t.place for t in (local, total, finish)} == {"job.py:2"}


def test_a_side_output_of_a_source_has_the_type_that_the_source_says(writer: PlanWriter) -> None:
    table = writer.table()
    side = writer.call(SideOutput(OutputTag("late")), table)
    assert side.output_type == table.call.source.side_output_type("late")
    writer.call(Map(str), side)
    assert isinstance(writer.transformations()[1], SourceTransformation)


def test_elements_of_a_keyed_stream_come_from_where_their_keys_brought_them(writer: PlanWriter) -> None:
    values = writer.call(Values(), writer.call(KeyBy(USER), writer.table()))
    made = writer.transformations()
    assert [made[number].name for number in sorted(made)] == ["table", "KeyBy", "hash()", values.name]
