"""A plan as a PyFlink program: a statement for each call. `integration/test_flink_target.py` runs such programs."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shmflink.common import Encoder, Time, Types, WatermarkStrategy
from shmflink.connectors.collect import CollectSink
from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.connectors.print_sink import PrintSink
from shmflink.core.output_tag import OutputTag
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.datastream.connectors.file_system import BucketAssigner
from shmflink.errors import JobGraphError
from shmflink.flinktarget.emit import program_of
from shmflink.operators.windows.assigners import TumblingEventTimeWindows
from shmflink.operators.windows.triggers import CountTrigger
from shmflink.plan import calls

INTS = Types.INT()


def numbers(writer: Any) -> Any:
    return writer.call(calls.Read(CollectionSource([1, 2], INTS), "numbers", INTS))


def statements(writer: Any, **changes: Any) -> list[str]:
    """What `main()` of the program does, without the functions' pickles."""
    text = program_of(replace(writer.plan, name="job", **changes))
    (main,) = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    return [ast.unparse(node) for node in main.body]


def test_each_call_is_a_statement(writer: Any) -> None:
    keyed = writer.call(calls.KeyBy(len, Types.STRING()), writer.call(calls.Map(str, Types.STRING()), numbers(writer)))
    reduced = writer.call(calls.Reduce(max), keyed)
    writer.call(calls.Write(PrintSink("out"), "Print to Std. Out"), reduced)
    assert statements(writer, configuration={"parallelism.default": "4", "taskmanager.memory": "1g"}) == [
        "configuration = Configuration()",
        "configuration.set_string('parallelism.default', '4')",
        "env = StreamExecutionEnvironment.get_execution_environment(configuration)",
        "read_1 = env.from_collection([1, 2], type_info=Types.INT()).name('numbers')",
        "map_2 = read_1.map(_load(FUNCTIONS['map_2']), output_type=Types.STRING()).name('Map')",
        "key_by_3 = map_2.key_by(_load(FUNCTIONS['key_by_3']), key_type=Types.STRING())",
        "reduce_5 = key_by_3.reduce(_load(FUNCTIONS['reduce_5'])).name('Reduce')",
        "write_6 = reduce_5.print('out').name('Print to Std. Out')",
        "return env.execute('job')",
    ]
    assert "# Settings of shmflink alone: taskmanager.memory" in program_of(
        replace(writer.plan, configuration={"taskmanager.memory": "1g"})
    )
    assert "    # job.py:2\n    map_2 = " in program_of(writer.plan)


def test_settings_of_operators_are_kept(writer: Any) -> None:
    made = writer.call(calls.Filter(bool), numbers(writer))
    settings = replace(made.settings, uid="f", parallelism=2, max_parallelism=8, slot_sharing_group="g")
    writer.nodes[-1] = replace(made, name="odd", settings=settings)
    assert statements(writer)[-2] == (
        "filter_2 = read_1.filter(_load(FUNCTIONS['filter_2'])).name('odd').uid('f').set_parallelism(2)"
        ".set_max_parallelism(8).slot_sharing_group('g')"
    )


def test_windows_streams_and_ends(writer: Any, tmp_path: Path) -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    source = NumberSequenceSource(1, 9)
    timed = writer.call(calls.Read(source, "sequence", source.produced_type, strategy))
    spread = writer.call(calls.Partition(ShipStrategy.REBALANCE), timed)
    late = OutputTag("late", INTS)
    windows = calls.Windows(
        TumblingEventTimeWindows.of(Time.seconds(1)), CountTrigger.of(2), None, 5, late, is_all=True
    )
    combined = writer.call(calls.WindowApply(windows, CountTrigger.of(2), "reduce", max), spread)
    side = writer.call(calls.SideOutput(late), combined)
    both = writer.call(calls.Union(), side, numbers(writer))
    out = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder())
    sink = out.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()
    writer.call(calls.Write(sink, "Writer"), both)
    read, partition, window, *others, write = statements(writer)[2:-1]
    assert read == (
        "read_1 = env.from_source(NumberSequenceSource(1, 9), WatermarkStrategy.for_monotonous_timestamps(), "
        "'sequence').name('sequence')"
    )
    assert partition == "partition_2 = read_1.rebalance()"
    assert window == (
        "window_apply_3 = partition_2.window_all(TumblingEventTimeWindows(1000, 0)).trigger(CountTrigger.of(2))"
        ".allowed_lateness(5).side_output_late_data(OutputTag('late', Types.INT()))"
        f".reduce(_load(FUNCTIONS['window_apply_3_combine'])).name('{combined.name}')"
    )
    assert others == [
        f"side_output_{side.id} = window_apply_3.get_side_output(OutputTag('late', Types.INT()))",
        f"read_{side.id + 1} = env.from_collection([1, 2], type_info=Types.INT()).name('numbers')",
        f"union_{both.id} = side_output_{side.id}.union(read_{side.id + 1})",
    ]
    assert write == (
        f"write_{both.id + 1} = union_{both.id}.sink_to(FileSink.for_row_format('{tmp_path}', "
        "Encoder.simple_string_encoder('utf-8')).with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())"
        ".with_rolling_policy(RollingPolicy.default_rolling_policy(134217728, 60000, 60000)).build()).name('Writer')"
    )


def test_all_that_cannot_be_written_is_named_with_its_line(writer: Any) -> None:
    rows = numbers(writer)
    writer.call(calls.MapBatches(len), rows)
    writer.call(calls.AsyncWait(len, is_ordered=True, timeout_ms=0, capacity=1), rows)
    with pytest.raises(JobGraphError) as refused:
        program_of(writer.plan)
    assert str(refused.value).splitlines() == [
        "the job cannot be written for PyFlink:",
        "  'MapBatches' (job.py:2): map_batches() is shmflink only; portable: map() or flat_map()",
        f"  '{writer.nodes[-1].name}' (job.py:3): AsyncDataStream.ordered_wait() is not written in this version",
    ]


def test_results_that_the_program_reads_itself_are_no_part_of_the_plan(writer: Any) -> None:
    writer.call(calls.Write(CollectSink("nowhere"), "collect"), numbers(writer))
    with pytest.raises(JobGraphError, match=r"'collect' \(job\.py:2\): what the program does with results"):
        program_of(writer.plan)
