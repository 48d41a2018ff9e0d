"""Programs that `shmflink info --emit` writes: the same results as the job itself, on our engine and on Flink.

Our engine runs a written program when the word `pyflink` in it is replaced by `shmflink`. Flink runs it as it is, where
`shmflink flink setup` has installed it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shmflink.client.flink_environment import find_python, missing

COMMAND = (sys.executable, "-c", "from shmflink.cli.entry import main; main()")
SHOUTING = """
def shout(text):
    return text.upper()
"""
LINES = """
import sys
from shmflink.common import Encoder, Types, WatermarkStrategy
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, StreamFormat

env = StreamExecutionEnvironment.get_execution_environment()
env.set_runtime_mode(RuntimeExecutionMode.BATCH)
env.set_parallelism(1)
source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), sys.argv[1]).build()
lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
words = lines.flat_map(lambda line: [(word, 1) for word in line.split()], Types.TUPLE([Types.STRING(), Types.INT()]))
counts = words.key_by(lambda pair: pair[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))
sink = FileSink.for_row_format(sys.argv[2], Encoder.simple_string_encoder())
sink = sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()
counts.map(lambda pair: f"{pair[0]} {pair[1]}", Types.STRING()).sink_to(sink)
env.execute("lines")
"""
JOB = """
from shmflink.common import Duration, Row, Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import AggregateFunction, CoMapFunction, KeyedProcessFunction, OutputTag
from shmflink.datastream import ProcessWindowFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.state import ReducingStateDescriptor, ValueStateDescriptor
from shmflink.datastream.window import EventTimeSessionWindows, SlidingEventTimeWindows, TumblingEventTimeWindows
from shouting import shout

READING = Types.TUPLE([Types.STRING(), Types.LONG(), Types.INT()])
HOT = OutputTag("hot", Types.STRING())
LATE = OutputTag("late", READING)


class Seconds(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Watch(KeyedProcessFunction):
    def open(self, runtime_context):
        self.last = runtime_context.get_state(ValueStateDescriptor("last", Types.INT()))
        self.most = runtime_context.get_reducing_state(ReducingStateDescriptor("most", max, Types.INT()))

    def process_element(self, value, ctx):
        self.last.update(value[2])
        self.most.add(value[2])
        ctx.timer_service().register_event_time_timer(10_000)
        if value[2] > 30:
            yield HOT, shout(value[0])

    def on_timer(self, timestamp, ctx):
        yield Row(ctx.get_current_key(), self.last.value(), self.most.get())


class Mean(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value[2], accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] // accumulator[1]

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Name(ProcessWindowFunction):
    def process(self, key, context, elements):
        for element in elements:
            yield f"{key} {context.window().start} {element}"


class Both(CoMapFunction):
    def map1(self, value):
        return f"word {value}"

    def map2(self, value):
        return f"number {value}"


env = StreamExecutionEnvironment.get_execution_environment()
env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
env.set_parallelism(1)
readings = [("a", 1_000, 20), ("b", 2_000, 40), ("a", 2_500, 25), ("a", 9_000, 31)]
timed = env.from_collection(readings, READING).assign_timestamps_and_watermarks(
    WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_assigner(Seconds())
)
keyed = timed.key_by(lambda reading: reading[0], Types.STRING())
watched = keyed.process(Watch(), Types.ROW([Types.STRING(), Types.INT(), Types.INT()])).name("watch").uid("watch")
watched.map(lambda row: f"watched {row[0]} {row[1]} {row[2]}", Types.STRING()).print()
watched.get_side_output(HOT).map(lambda name: f"hot {name}", Types.STRING()).print()
means = keyed.window(TumblingEventTimeWindows.of(Time.seconds(2))).side_output_late_data(LATE).aggregate(
    Mean(), Name(), Types.TUPLE([Types.INT(), Types.INT()]), Types.STRING()
)
means.map(lambda text: "mean " + text, Types.STRING()).print()
keyed.window(EventTimeSessionWindows.with_gap(Time.seconds(3))).reduce(
    lambda a, b: (a[0], a[1], a[2] + b[2])
).map(lambda r: f"session {r[0]} {r[2]}", Types.STRING()).print()
timed.window_all(SlidingEventTimeWindows.of(Time.seconds(4), Time.seconds(2))).reduce(
    lambda a, b: ("all", 0, a[2] + b[2])
).map(lambda r: f"all {r[2]}", Types.STRING()).print()
words = env.from_collection(["x", "y"], Types.STRING()).set_parallelism(1)
numbers = env.from_collection([1, 2, 3], Types.INT()).filter(lambda n: n != 2).rebalance()
words.connect(numbers).map(Both(), Types.STRING()).union(words.map(shout, Types.STRING())).print()
keyed.sum(2).map(lambda r: f"sum {r[0]} {r[2]}", Types.STRING()).print()
env.execute("everything")
"""


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """What it prints; fails the test if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ours(program: Path, *arguments: str) -> list[str]:
    return sorted(run(*COMMAND, "run", str(program), *arguments).splitlines())


def on_flink(program: Path) -> list[str]:
    """In the environment that `shmflink flink setup` made; its workers call `python`."""
    python = find_python()
    assert python is not None, missing()
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    return sorted(run(str(python), str(program), env={**os.environ, "PATH": path}).splitlines())


def emitted(program: Path, *arguments: str) -> Path:
    """The program that is written for PyFlink."""
    made = program.with_name(f"{program.stem}_on_flink.py")
    run(*COMMAND, "info", "--emit", str(made), str(program), *arguments)
    return made


def as_shmflink(program: Path) -> Path:
    """A PyFlink program for our engine."""
    made = program.with_name(f"{program.stem}_here.py")
    made.write_text(program.read_text().replace("pyflink", "shmflink"))
    return made


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """State, timers, side outputs, windows, two streams, a module beside the program."""
    (tmp_path / "shouting.py").write_text(SHOUTING)
    program = tmp_path / "job.py"
    program.write_text(JOB)
    return program


def test_a_written_program_gives_the_same_lines_on_our_engine(job: Path) -> None:
    expected = ours(job)
    assert "watched a 31 31" in expected
    assert "hot B" in expected
    again = as_shmflink(emitted(job))
    (job.parent / "shouting.py").unlink()  # what the functions use of it is in the program
    assert ours(again) == expected


def test_files_are_read_and_written_where_the_job_does(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("to be or\nnot to be\n")
    program = tmp_path / "lines.py"
    program.write_text(LINES)
    made = emitted(program, str(tmp_path / "lines.txt"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    ours(as_shmflink(made))
    written = "".join(part.read_text() for part in (tmp_path / "out").iterdir())
    assert sorted(written.splitlines()) == ["be 2", "not 1", "or 1", "to 2"]


def test_a_job_with_calls_that_pyflink_lacks_is_refused_with_its_lines(tmp_path: Path) -> None:
    program = tmp_path / "job.py"
    program.write_text(JOB.split("readings =")[0] + "env.from_collection([1]).map_batches(len)\nenv.execute()\n")
    (tmp_path / "shouting.py").write_text(SHOUTING)
    command = [*COMMAND, "info", "--emit", str(tmp_path / "made.py"), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "map_batches() is shmflink only; portable: map() or flat_map()" in done.stderr
    assert f"{program}:" in done.stderr
    assert not (tmp_path / "made.py").exists()


@pytest.mark.skipif(missing() is not None, reason="Flink is not set up: shmflink flink setup")
def test_flink_gives_the_same_lines(job: Path) -> None:
    assert on_flink(emitted(job)) == ours(job)


@pytest.mark.skipif(missing() is not None, reason="Flink is not set up: shmflink flink setup")
def test_flink_reads_and_writes_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("to be or\nnot to be\n")
    program = tmp_path / "lines.py"
    program.write_text(LINES)
    on_flink(emitted(program, str(tmp_path / "lines.txt"), str(tmp_path / "out")))
    written = "".join(part.read_text() for part in (tmp_path / "out").iterdir())
    assert sorted(written.splitlines()) == ["be 2", "not 1", "or 1", "to 2"]


@pytest.mark.skipif(missing() is not None, reason="Flink is not set up: shmflink flink setup")
@pytest.mark.parametrize("example", ["word_count.py", "sessions.py"])
def test_an_example_gives_the_same_lines_on_flink(example: str) -> None:
    program = str(Path(__file__).parents[2] / "examples" / example)
    there, here = (
        sorted(re.sub(r"^\d+> ", "", line) for line in run(*COMMAND, "run", *target, program).splitlines())
        for target in (["--target", "flink"], [])
    )
    assert there == here
