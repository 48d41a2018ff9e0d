"""Settings of the whole job, what is submitted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from oracle.recorder import Recorder

from shmflink.config.configuration import Configuration
from shmflink.connectors.base import Boundedness
from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkStrategy
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.errors import ConfigurationError, JobGraphError


class Never(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        raise AssertionError("never called")


def submitted(env: StreamExecutionEnvironment, executor: Recorder) -> Any:
    env.from_collection([1, 2, 3]).map(str)
    env.execute()
    return executor.submitted[-1][0]


def test_configuration_is_stacked(executor: Recorder) -> None:
    given = Configuration()
    given.set_string("pipeline.max-parallelism", "64")
    env = StreamExecutionEnvironment.get_execution_environment(given)
    assert (env.get_parallelism(), env.get_max_parallelism()) == (4, 64)
    later = Configuration()
    later.set_string("parallelism.default", "3")
    env.configure(later)
    graph = submitted(env, executor)
    assert [v.parallelism for v in graph.vertices] == [1, 3]
    assert graph.configuration["parallelism.default"] == "3"
    assert executor.submitted[-1][1]["pipeline.max-parallelism"] == "64"


def test_parallelism_is_taken_when_an_operator_is_recorded(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    stream = env.from_collection([1]).map(str)
    env.set_parallelism(2)
    stream.map(str)
    env.execute()
    assert [v.parallelism for v in executor.submitted[-1][0].vertices] == [1, 4, 2]


def test_settings_can_be_read_back(env: StreamExecutionEnvironment) -> None:
    assert (env.get_parallelism(), env.get_max_parallelism(), env.get_buffer_timeout()) == (4, -1, 100)
    assert env.is_chaining_enabled()
    assert env.is_chaining_of_operators_with_different_max_parallelism_enabled()
    env.set_parallelism(2).set_max_parallelism(16).set_buffer_timeout(7).disable_operator_chaining()
    assert (env.get_parallelism(), env.get_max_parallelism(), env.get_buffer_timeout()) == (2, 16, 7)
    assert not env.is_chaining_enabled()
    assert env.set_buffer_timeout(-1).get_buffer_timeout() == -1
    assert env.set_buffer_timeout(0).get_buffer_timeout() == 0
    assert env.get_default_local_parallelism() == 4
    assert env.get_config().get_parallelism() == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.set_parallelism(0),
        lambda env: env.set_parallelism(True),
        lambda env: env.set_max_parallelism(0),
        lambda env: env.set_max_parallelism(1 << 16),
        lambda env: env.set_buffer_timeout(-2),
    ],
)
def test_settings_are_checked(env: StreamExecutionEnvironment, call: Any) -> None:
    with pytest.raises((JobGraphError, ConfigurationError)):
        call(env)


@pytest.mark.parametrize(
    ("mode", "is_batch"),
    [
        (RuntimeExecutionMode.STREAMING, False),
        (RuntimeExecutionMode.BATCH, True),
        (RuntimeExecutionMode.AUTOMATIC, True),
    ],
)
def test_runtime_mode(
    env: StreamExecutionEnvironment, executor: Recorder, mode: RuntimeExecutionMode, is_batch: bool
) -> None:
    env.set_runtime_mode(mode)
    assert submitted(env, executor).is_batch is is_batch


def test_automatic_is_streaming_with_an_unbounded_source(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    source = NumberSequenceSource(1, 2)
    source.boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    env.set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    env.from_source(source, WatermarkStrategy.no_watermarks(), "ever").map(str)
    assert submitted(env, executor).is_batch is False


def test_the_runtime_mode_is_an_enum(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(TypeError, match="takes a RuntimeExecutionMode, got 'BATCH'"):
        env.set_runtime_mode("BATCH")


def test_nothing_recorded_is_flinks_error(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1])
    message = r"No operators defined in streaming topology\. Cannot execute\."
    with pytest.raises(JobGraphError, match=message):
        env.execute()
    with pytest.raises(JobGraphError, match=message):
        env.get_execution_plan()


def test_execute_forgets_what_it_ran_and_the_plan_does_not(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    env.from_collection([1]).map(str)
    env.get_execution_plan()
    assert env.execute("first") == "the result"
    assert executor.submitted[-1][0].name == "first"
    with pytest.raises(JobGraphError, match="No operators defined"):
        env.execute()
    env.from_collection([1]).map(str)
    env.execute_async()
    assert executor.submitted[-1][0].name == "Flink Streaming Job"


def test_everything_recorded_runs_even_without_a_sink(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    stream = env.from_collection([1]).map(str).name("used")
    stream.map(str).name("dangling").set_parallelism(1)
    stream.print()
    env.execute()
    names = [v.name for v in executor.submitted[-1][0].vertices]
    assert names == ["Source: Collection Source", "used -> Sink: Print to Std. Out", "dangling"]


def test_the_job_knows_where_its_modules_are(
    env: StreamExecutionEnvironment, executor: Recorder, tmp_path: Path
) -> None:
    module = tmp_path / "beside.py"
    module.write_text("x = 1\n")
    env.add_python_file(str(module))
    graph = submitted(env, executor)
    assert str(tmp_path) in graph.python_path
    assert graph.working_directory == str(Path.cwd())
    with pytest.raises(ConfigurationError, match=r"there is no '.*missing'"):
        env.add_python_file("missing")


def test_jars_are_kept_in_the_configuration_and_noted_when_a_job_is_submitted(
    env: StreamExecutionEnvironment, executor: Recorder
) -> None:
    env.add_jars("file:///a.jar")
    env.add_jars("file:///b.jar", "file:///c.jar")
    env.add_classpaths("file:///d.jar")
    env.from_collection([1]).print()
    env.execute()
    _, configuration = executor.submitted[-1]
    assert configuration["pipeline.jars"] == "file:///a.jar;file:///b.jar;file:///c.jar"
    assert configuration["pipeline.classpaths"] == "file:///d.jar"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("create_input", r"use from_source\(\)"),
    ],
)
def test_what_is_not_there_yet_says_so(env: StreamExecutionEnvironment, name: str, reason: str) -> None:
    with pytest.raises(AttributeError, match=f"StreamExecutionEnvironment.{name}.*{reason}"):
        getattr(env, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        env.nonsense  # noqa: B018  the access raises


def test_from_source_checks_its_arguments(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(TypeError, match=r"takes a Source, got \[1\]"):
        env.from_source([1], WatermarkStrategy.no_watermarks(), "a")
    with pytest.raises(TypeError, match="takes a WatermarkStrategy, got str"):
        env.from_source(NumberSequenceSource(1, 2), "none", "a")
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    timed = strategy.with_timestamp_assigner(Never())
    assert env.from_source(NumberSequenceSource(1, 2), timed, "a").node.call.watermark_strategy is timed


def test_close_forgets(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).map(str)
    env.close()
    with pytest.raises(JobGraphError, match="No operators defined"):
        env.execute()


def test_unknown_options_are_refused_where_an_environment_takes_them_over(env: StreamExecutionEnvironment) -> None:
    wrong = Configuration().set_string("parallelism.default", "3").set_string("paralelism.default", "7")
    with pytest.raises(ConfigurationError, match=r"get_execution_environment\(\): .*mean 'parallelism\.default'"):
        StreamExecutionEnvironment.get_execution_environment(wrong)
    with pytest.raises(ConfigurationError, match=r"configure\(\): unknown option 'paralelism\.default'; did you mean"):
        env.configure(wrong)
    assert env.get_parallelism() == 4
    env.configure(Configuration().set_string("taskmanager.memory.process.size", "4g"))  # of Flink, without effect here
