"""Which edges carry updates, which consumers may read them, and what is refused, with the user's line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from oracle.recorder import Recorder

from shmflink.common import Time, Types, WatermarkStrategy
from shmflink.connectors.base import Sink
from shmflink.connectors.collect import CollectSink
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.postgres.sink import PostgresSink
from shmflink.core.changelog import Changelog
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.datastream import OutputTag, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.window import ContinuousEventTimeTrigger, TumblingEventTimeWindows
from shmflink.errors import JobGraphError
from shmflink.expressions import col, count
from shmflink.graph.plan import plan_as_tree
from shmflink.planner.lowering import lower
from shmflink.planner.stream_graph_builder import RuntimeMode, StreamGraphOptions, build_stream_graph

TABLE = pa.table({"user": ["a", "b"], "city": ["x", "y"], "price": pa.array([1, 2], pa.int64())})


def numbers(start: int, stop: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(range(start, stop), pa.int64())})


class Program:
    """Streams over a table or an endless source, and what comes of them."""

    def __init__(self, *, is_endless: bool = False, mode: RuntimeMode = RuntimeMode.STREAMING) -> None:
        self.env = StreamExecutionEnvironment.get_execution_environment()
        self.mode = mode
        rows: Any
        if is_endless:
            rows = self.env.generate(numbers).select(user=col("n"), city=col("n"), price=col("n"))
        else:
            rows = self.env.from_arrow(TABLE)
        self.rows = rows

    def counts(self) -> Any:
        return self.rows.key_by("user", "city").aggregate(n=count())

    def running(self) -> Any:
        return self.rows.key_by("user").sum("price")

    def graph(self) -> Any:
        return build_stream_graph(
            lower(self.env.recorder.plan()), "job", StreamGraphOptions(parallelism=2, runtime_mode=self.mode)
        )

    def emits(self) -> dict[str, str]:
        """By operator: what is not insert-only."""
        return {node.name: node.changelog for node in self.graph().nodes.values() if node.changelog}


NEED_ROWS_THAT_STAND: dict[str, Callable[[Any], Any]] = {
    "aggregate()": lambda s: s.key_by("user").aggregate(most=col("n").max),
    "aggregate() over all": lambda s: s.aggregate(most=col("n").max),
    "aggregate() top_n": lambda s: s.key_by("user").aggregate(top=col("city").top_n(3)),
    "distinct()": lambda s: s.distinct("n"),
    "map_batches()": lambda s: s.map_batches(lambda batch: batch),
    "filter()": lambda s: s.filter(col("n") > 1),
    "filter() behind a choice": lambda s: s.select("user", "n").filter(col("user") == "a"),
    "explode()": lambda s: s.select("user", "city", words=col("user").split(" ")).explode("words"),
    "aggregate() of a union": lambda s: s.union(s).aggregate(most=col("n").max),
    "aggregate() behind a function": lambda s: s.map(lambda row: row, s.get_type()).aggregate(n2=count()),
}


@pytest.mark.parametrize("case", NEED_ROWS_THAT_STAND)
def test_what_needs_rows_that_stand_refuses_updates_and_says_where_and_what_to_do(case: str) -> None:
    program = Program()
    NEED_ROWS_THAT_STAND[case](program.counts()).print()
    with pytest.raises(JobGraphError) as raised:
        program.graph()
    text = str(raised.value)
    line = inspect.getsourcelines(NEED_ROWS_THAT_STAND[case])[1]
    assert text.startswith(f"{__file__}:{line}: {case.partition(' ')[0]}")
    assert re.search(rf"updates? of 'Aggregate' \({re.escape(__file__)}:\d+\)", text)
    for remedy in ("set_runtime_mode(RuntimeExecutionMode.BATCH)", "final()", "window", "updates()"):
        assert remedy in text


@pytest.mark.parametrize("case", NEED_ROWS_THAT_STAND)
@pytest.mark.parametrize("remedy", ["BATCH", "AUTOMATIC", "final", "updates", "to_arrow"])
def test_every_remedy_is_one(case: str, remedy: str) -> None:
    program = Program(mode=RuntimeMode(remedy) if remedy.isupper() else RuntimeMode.STREAMING)
    counts = program.counts()
    if remedy in ("final", "updates"):
        counts = getattr(counts, remedy)()
    stream = NEED_ROWS_THAT_STAND[case](counts)
    if remedy == "to_arrow":
        stream.sink_to(CollectSink("@nobody", is_table=True))
    else:
        stream.print()
    counted = next(node for node in program.graph().nodes.values() if node.name == "Aggregate")
    by_user = "updates by user, city"
    expected = {"BATCH": "", "AUTOMATIC": "", "updates": by_user}.get(remedy, "final rows")
    assert counted.changelog == expected


def test_updates_are_rows_for_print_and_for_functions_of_records() -> None:
    program = Program()
    counts = program.counts()
    counts.print()
    counts.map(lambda row: row).key_by(lambda row: row).process(Every()).print()
    counts.filter(col("city") == "x").select("city", who=col("user"), n2=col("n") * 2).print()
    counts.with_columns(twice=col("n") * 2).drop("city").print()
    assert program.emits() == {
        "Aggregate": "updates by user, city",
        "Map": "updates",
        "KeyBy": "updates",
        "Filter": "updates by user, city",
        "KEYED PROCESS": "updates",
        "Select": "updates by who, city",
        "WithColumns": "updates by user, city",
        "Drop": "updates",
    }


class Every:
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value


def test_running_results_of_records_follow_the_same_rule_where_columns_read_them() -> None:
    program = Program()
    program.running().print()
    program.running().sink_to(FileSink.parquet("/nowhere"))  # as in Flink: every record
    program.running().filter(col("price") > 1).print()  # a function of each record
    assert set(program.emits().values()) == {"updates"}
    program = Program()
    program.running().aggregate(total=col("price").sum).print()
    with pytest.raises(JobGraphError, match=r"aggregate\(\) would treat every update of 'Sum'"):
        program.graph()


@pytest.mark.parametrize("sink", [FileSink.parquet("/nowhere"), PostgresSink.for_table("dbname=x", "t")])
def test_a_sink_of_rows_that_stand_gets_final_rows_of_a_bounded_input_and_refuses_an_endless_one(sink: Sink) -> None:
    program = Program()
    program.counts().filter(col("n") > 1).sink_to(sink)
    assert program.emits() == {"Aggregate": "final rows"}
    program = Program(is_endless=True)
    program.counts().sink_to(sink)
    with pytest.raises(JobGraphError) as raised:
        program.graph()
    assert "test_updating.py" in str(raised.value)
    assert "'Writer' accepts only final rows, each once, but 'Aggregate'" in str(raised.value)
    assert "source 'Generator' is unbounded" in str(raised.value)


def test_final_of_an_endless_input_is_refused() -> None:
    program = Program(is_endless=True)
    program.counts().final().print()
    with pytest.raises(JobGraphError, match=r"'final\(\)' accepts only final rows.*source 'Generator' is unbounded"):
        program.graph()


def test_an_upsert_sink_by_the_same_key_takes_updates_those_of_a_key_through_one_subtask() -> None:
    program = Program(is_endless=True)
    program.counts().sink_to(PostgresSink.for_table("dbname=x", "t", key_columns=["city", "user"])).set_parallelism(3)
    graph = program.graph()
    [sink] = [node for node in graph.nodes.values() if node.name == "Sink: Writer"]
    assert sink.in_edges[0].strategy is ShipStrategy.HASH
    assert sink.in_edges[0].key_columns == ("user", "city")
    other = Program(is_endless=True)
    other.counts().sink_to(PostgresSink.for_table("dbname=x", "t", key_columns=["user"]))
    with pytest.raises(JobGraphError, match="accepts only final rows"):
        other.graph()


def test_a_sink_of_the_users_own_takes_updates_unless_it_says_otherwise() -> None:
    assert DiscardSink().takes_updates(Changelog(None))


def test_who_reads_updates_and_who_reads_final_rows_each_get_theirs() -> None:
    program = Program()
    counts = program.counts().uid("counts")
    counts.print()
    counts.sink_to(FileSink.csv("/nowhere"))
    nodes = [node for node in program.graph().nodes.values() if node.name == "Aggregate"]
    assert [(node.changelog, node.uid) for node in nodes] == [
        ("updates by user, city", "counts"),
        ("final rows", "counts (final)"),
    ]


def test_distinct_rows_stand() -> None:
    program = Program()
    program.rows.distinct("user").aggregate(n=count()).print()
    assert program.emits() == {"Aggregate": "updates of one row"}


def test_late_rows_beside_a_stream_are_no_updates() -> None:
    program = Program()
    timed = program.rows.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("price")
    )
    late = OutputTag("late", Types.ROW_NAMED(["user"], [Types.STRING()]))
    windows = timed.key_by("user").window(TumblingEventTimeWindows.of(Time.seconds(1)))
    counts = windows.allowed_lateness(10).side_output_late_data(late).aggregate(n=count())
    counts.get_side_output(late).aggregate(n=count()).print()
    counts.print()
    assert program.emits()["WindowAggregate"] == "updates by user, window_start"
    counts.filter(col("n") > 1).print()
    with pytest.raises(JobGraphError, match=r"filter\(\) would treat every update of 'WindowAggregate'"):
        program.graph()


def test_the_plan_shows_what_is_not_insert_only(executor: Recorder) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    counts = env.from_arrow(TABLE).key_by("user").aggregate(n=count())
    counts.rebalance().map(lambda row: row).print()
    counts.sink_to(FileSink.csv("/nowhere"))
    env.execute()
    tree = plan_as_tree(executor.submitted[0][0])
    assert "· Aggregate(by user; count() AS n) ⇒ updates by user" in tree
    assert "─ REBALANCE (updates by user) ─▶" in tree
    assert "· Aggregate(by user; count() AS n) ⇒ final rows" in tree
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.from_arrow(TABLE).key_by("user").aggregate(n=count()).print()
    env.execute()
    assert "⇒" not in plan_as_tree(executor.submitted[1][0])


@pytest.mark.parametrize("trigger", [None, ContinuousEventTimeTrigger.of(Time.seconds(1))])
def test_windows_of_functions_that_leave_again_are_records_to_records_alone(trigger: Any) -> None:
    program = Program()
    timed = program.rows.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("price")
    )
    windows = timed.key_by("user").window(TumblingEventTimeWindows.of(Time.seconds(1)))
    windows = windows.allowed_lateness(10) if trigger is None else windows.trigger(trigger)
    latest = windows.reduce(lambda a, b: b)
    latest.sink_to(FileSink.csv("/nowhere"))
    latest.sink_to(CollectSink("@nobody", is_table=True))
    assert program.emits() == {"TumblingEventTimeWindows": "updates"}
    latest.updates().aggregate(n=count()).print()
    program.graph()
    latest.final().print()
    with pytest.raises(JobGraphError, match=r"'final\(\)' accepts only final rows.*calls its function again"):
        program.graph()
    program.env.recorder.clear()
    latest.aggregate(n=count()).print()
    with pytest.raises(JobGraphError, match=r"aggregate\(\) would treat every update.* emits a window again"):
        program.graph()
