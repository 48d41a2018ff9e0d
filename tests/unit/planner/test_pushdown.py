"""Filters and column selection reach the sources, and the results do not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from oracle.recorded_program import Program

from shmflink.connectors.base import Source
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo, schema_of
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.expressions import Expression, col, lit
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import ColumnStep, Explode, Filter, Project
from shmflink.planner.pushdown import push_down
from shmflink.planner.transformations import OperatorTransformation, SourceTransformation, Transformation

SCHEMA = pa.schema([(name, pa.int64()) for name in "abcde"] + [("words", pa.list_(pa.utf8()))])


class Table(Source):
    """Says what was asked of it."""

    def __init__(self, filters: str = "exact", prunes: bool = True, **pushed: Any) -> None:
        self.filters, self.prunes = filters, prunes
        self.names: Sequence[str] = SCHEMA.names
        self.predicate: Expression | None = None
        self.__dict__.update(pushed)

    def create_enumerator(self, parallelism: int, state: Any = None) -> Any: ...

    def create_reader(self, context: Any) -> Any: ...

    @property
    def produced_type(self) -> ColumnsTypeInfo:
        return ColumnsTypeInfo(pa.schema([SCHEMA.field(name) for name in self.names]))

    def with_columns(self, columns: Sequence[str]) -> Table | None:
        return Table(**{**vars(self), "names": list(columns)}) if self.prunes else None

    def with_filter(self, predicate: Expression) -> tuple[Table, bool] | None:
        if self.filters == "none":
            return None
        return Table(**{**vars(self), "predicate": predicate}), self.filters == "exact"


def table(program: Program, watermark_strategy: WatermarkStrategy | None = None, **options: Any) -> Transformation:
    source = Table(**options)
    made: Transformation = program.source(
        "t", source=source, output_type=source.produced_type, watermark_strategy=watermark_strategy
    )
    return made


def columnar(program: Program, before: Transformation, *steps: ColumnStep) -> Transformation:
    operator = ColumnsOperator(before.output_type, steps)
    made: Transformation = program.operator(before, operator=operator, output_type=operator.output_type)
    return made


def select(*names: str, **named: Expression) -> Project:
    return Project(tuple({**{name: col(name) for name in names}, **named}.items()))


def names(t: Transformation) -> list[str]:
    schema = schema_of(t.output_type)
    assert schema is not None
    return list(schema.names)


def pushed(program: Program, is_batch: bool = False) -> tuple[Table, dict[int, Transformation]]:
    """The source after the pass, and every transformation by id."""
    found: dict[int, Transformation] = {}
    waiting = push_down(program.recorded, is_batch=is_batch)
    while waiting:
        t = waiting.pop()
        found[t.id] = t
        waiting += t.inputs
    source = next(t for t in found.values() if isinstance(t, SourceTransformation))
    assert isinstance(source.source, Table)
    return source.source, found


def test_only_the_columns_that_are_used_are_read(program: Program) -> None:
    program.sink(columnar(program, table(program), select("d", x=col("b") + col("a"))))
    source, _ = pushed(program)
    assert source.names == ["a", "b", "d"]


def test_a_filter_moves_into_the_source_and_its_columns_with_it(program: Program) -> None:
    filtered = columnar(program, table(program), Filter(col("e") > 5))
    last = columnar(program, filtered, select("a"))
    program.sink(last)
    source, found = pushed(program)
    assert (source.names, str(source.predicate)) == (["a"], str(col("e") > 5))
    assert [len(found[t.id].operator.steps) for t in (filtered, last)] == [0, 1]  # type: ignore[attr-defined]
    assert found[filtered.id].name == filtered.name
    source_node = found[1]
    assert source_node.description == f"t, columns=[a], filter={col('e') > 5}"


def test_a_source_that_only_skips_leaves_the_filter_where_it_is(program: Program) -> None:
    filtered = columnar(program, table(program, filters="skips"), Filter(col("e") > 5))
    program.sink(columnar(program, filtered, select("a")))
    source, found = pushed(program)
    assert source.names == ["a", "e"]
    assert found[1].description == f"t, columns=[a, e], skips by {col('e') > 5}"
    # The filter's own column ends there.
    operator = found[filtered.id].operator  # type: ignore[attr-defined]
    assert operator.schema.names == ["a"]


def test_filters_pass_through_projections_by_substitution(program: Program) -> None:
    renamed = columnar(program, table(program), select(x=col("a"), y=col("b") + 1))
    program.sink(columnar(program, columnar(program, renamed, Filter(col("y") > 5)), Filter(col("x") == 1)))
    source, _ = pushed(program)
    assert source.predicate is not None
    assert source.predicate.same_as((col("b") + 1 > 5) & (col("a") == 1))


def test_a_later_filter_that_could_fail_on_rows_that_an_earlier_one_drops_stays(program: Program) -> None:
    safe = columnar(program, table(program), Filter(col("a") != 0))
    program.sink(columnar(program, safe, Filter(lit(1) / col("a") > 2)))
    source, found = pushed(program)
    assert source.predicate is not None
    assert source.predicate.same_as(col("a") != 0)
    assert len(found[3].operator.steps) == 1  # type: ignore[attr-defined]


def test_filters_behind_an_explosion_or_a_branch_stay(program: Program) -> None:
    exploded = columnar(program, table(program), Explode("words", col("words")))
    program.sink(columnar(program, exploded, Filter(col("words") == "x")))
    assert pushed(program)[0].predicate is None


def test_two_readers_of_a_source_share_the_columns_and_push_no_filter(program: Program) -> None:
    source = table(program)
    program.sink(columnar(program, columnar(program, source, Filter(col("a") > 1)), select("b")))
    program.sink(columnar(program, source, select("c")))
    after, _ = pushed(program)
    assert (after.names, after.predicate) == (["a", "b", "c"], None)


def test_one_step_that_works_on_records_needs_every_column(program: Program) -> None:
    source = table(program)
    program.sink(columnar(program, source, select("a")))
    program.sink(program.operator(source))
    assert pushed(program)[0].names == SCHEMA.names


def test_a_source_that_reads_everything_is_narrowed_by_the_first_operator(program: Program) -> None:
    wide = columnar(program, table(program, prunes=False, filters="none"), Filter(col("e") > 5))
    program.sink(columnar(program, wide, select("b")))
    source, found = pushed(program)
    assert source.names == SCHEMA.names
    assert names(found[wide.id]) == ["b"]


def test_branches_of_a_union_come_to_the_same_columns(program: Program) -> None:
    def job(prunes: bool) -> list[list[str]]:
        program.recorded.clear()
        first, second = table(program), table(program, prunes=prunes)
        union = replace(program.union(first, second), output_type=first.output_type)
        program.sink(columnar(program, union, select("c")))
        found = pushed(program)[1]
        return [names(found[t.id]) for t in (first, second)]

    assert job(prunes=True) == [["c"], ["c"]]
    assert job(prunes=False) == [SCHEMA.names, SCHEMA.names]


def test_key_columns_are_needed_on_the_way(program: Program) -> None:
    source = table(program)
    by_hash = program.partition(source, ShipStrategy.HASH)
    partitioned = replace(by_hash, key_columns=("e",), output_type=source.output_type)
    program.sink(columnar(program, partitioned, select("a")))
    assert pushed(program)[0].names == ["a", "e"]


def test_counting_rows_reads_the_narrowest_column(program: Program) -> None:
    program.sink(columnar(program, table(program), select(one=lit(1))))
    assert pushed(program)[0].names == ["a"]


def test_a_source_that_makes_watermarks_sees_every_row_of_a_streaming_job(program: Program) -> None:
    source = table(program, watermark_strategy=WatermarkStrategy.for_monotonous_timestamps())
    program.sink(columnar(program, columnar(program, source, Filter(col("e") > 5)), select("a")))
    assert pushed(program)[0].predicate is None
    assert pushed(program, is_batch=True)[0].predicate is not None


def test_it_can_be_switched_off(program: Program) -> None:
    program.sink(columnar(program, table(program), select("a")))
    graph = program.stream_graph(is_pushdown_enabled=False)
    assert graph.nodes[1].payload.names == SCHEMA.names
    assert program.stream_graph().nodes[1].payload.names == ["a"]


def test_nothing_recorded_is_changed(program: Program) -> None:
    last = columnar(program, columnar(program, table(program), Filter(col("e") > 5)), select("a"))
    program.sink(last)
    before = [(t, t.output_type, t.description) for t in (last, last.inputs[0], last.inputs[0].inputs[0])]
    operators = [t.operator for t, *_ in before if isinstance(t, OperatorTransformation)]
    pushed(program)
    assert [(t, t.output_type, t.description) for t, *_ in before] == before
    assert [t.operator for t, *_ in before if isinstance(t, OperatorTransformation)] == operators


@pytest.mark.parametrize("filters", ["exact", "skips", "none"])
def test_the_plan_shows_what_was_pushed(program: Program, filters: str) -> None:
    program.sink(
        columnar(program, columnar(program, table(program, filters=filters), Filter(col("e") > 5)), select("a"))
    )
    text = program.stream_graph().nodes[1].description
    assert ("filter=" in text, "skips by" in text) == (filters == "exact", filters == "skips")
