"""A job resumes from an unaligned checkpoint with another parallelism: state, timers and in-flight rows move."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shmflink.checkpoint.reading import load_manifest, verify_checkpoint
from shmflink.state_processor import SavepointReader

WATCHDOG_SECONDS = 120
LAST, KEYS = 240_000, 97

JOB = '''
import hashlib, sys

from shmflink.common import Types, WatermarkStrategy
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.datastream.state import ValueStateDescriptor

LAST, KEYS = map(int, sys.argv[1:3])
FAILS = "fails" in sys.argv


class Total(KeyedProcessFunction):
    """Slow, so that rows pile up before it; emits only at the end of all input. Fails when its totals are saved: at the
    end of a checkpoint that began behind rows.
    """

    def open(self, ctx):
        self.total = ctx.get_state(ValueStateDescriptor("total", Types.LONG()))
        self.has_rows = self.began_behind_rows = self.is_saved = False

    def notify_checkpoint_complete(self, checkpoint_id):
        self.is_saved, self.began_behind_rows = self.began_behind_rows, self.has_rows

    def process_element(self, value, ctx):
        self.has_rows = True
        if FAILS:
            hashlib.pbkdf2_hmac("sha256", b"value", b"salt", 100)  # some ten microseconds
            if self.is_saved:
                raise ValueError("planned")
        if self.total.value() is None:
            ctx.timer_service().register_event_time_timer(2**60)
        self.total.update((self.total.value() or 0) + value)

    def on_timer(self, timestamp, ctx):
        yield ctx.get_current_key(), self.total.value()


env = StreamExecutionEnvironment.get_execution_environment()
source = NumberSequenceSource(1, LAST)
numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()).uid("numbers")
shifted = numbers.map(lambda value: value + 1, Types.LONG()).uid("shift")
keyed = shifted.key_by(lambda value: value % KEYS, Types.LONG())
keyed.process(Total(), Types.TUPLE([Types.LONG(), Types.LONG()])).uid("totals").print()
env.execute("rescaled")
'''


def run(job: Path, *options: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "shmflink"), "run", "--slots", "3", *options, str(job)]
    return subprocess.run(
        [*command, "--", str(LAST), str(KEYS), *arguments],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("job") / "rescaled.py"
    path.write_text(JOB)
    return path


@pytest.fixture(scope="module")
def checkpoint(job: Path) -> Path:
    """Of two subtasks, one of which failed as soon as it was complete."""
    options = {
        "execution.checkpointing.dir": str(job.parent / "checkpoints"),
        "execution.checkpointing.interval": "100ms",
        "execution.checkpointing.unaligned.enabled": "true",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "none",
    }
    settings = [word for key, value in options.items() for word in ("-D", f"{key}={value}")]
    failed = run(job, "-p", "2", *settings, arguments=("fails",))
    assert failed.returncode == 1, failed.stderr
    assert "planned" in failed.stderr
    found = sorted(job.parent.glob("checkpoints/*/chk-*/_metadata"), key=lambda path: int(path.parent.name[4:]))
    return found[-1].parent


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_no_row_is_lost_or_counted_twice(job: Path, checkpoint: Path, parallelism: int) -> None:
    """[C21] Down, the same, up."""
    manifest = load_manifest(str(checkpoint))
    assert manifest.is_unaligned
    assert sum(channel.file.rows for op in manifest.operators for s in op.subtasks for channel in s.channels) > 0
    done = run(job, "-p", str(parallelism), "-s", str(checkpoint))
    assert done.returncode == 0, done.stderr
    found = [tuple(map(int, pair)) for pair in re.findall(r"^(?:\d+> )?\((\d+),(\d+)\)$", done.stdout, re.MULTILINE)]
    expected: dict[int, int] = {}
    for value in range(2, LAST + 2):
        expected[value % KEYS] = expected.get(value % KEYS, 0) + value
    assert sorted(found) == sorted(expected.items())


def test_the_checkpoint_can_be_read_without_the_job(checkpoint: Path) -> None:
    assert verify_checkpoint(str(checkpoint), load_manifest(str(checkpoint))) > 0
    totals = SavepointReader.read(str(checkpoint)).read_keyed_state("totals", "total")
    keys = totals["key"].to_pylist()  # of some keys all rows may have been under way
    assert 0 < len(keys) == len(set(keys))
    assert set(keys) <= set(range(KEYS))


def test_another_maximum_parallelism_is_refused(job: Path, checkpoint: Path) -> None:
    """[G4] Keys would lie in other key groups."""
    refused = run(job, "-p", "2", "-s", str(checkpoint), "-D", "pipeline.max-parallelism=64")
    assert refused.returncode == 1
    assert "set_max_parallelism(128)" in refused.stderr, refused.stderr


IN_TIME = '''
import hashlib, sys

from shmflink.common import Types, WatermarkStrategy
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.datastream.state import ValueStateDescriptor

LAST, KEYS = map(int, sys.argv[1:3])
FAILS = "fails" in sys.argv


class Time:
    """Each of three readers has a third of the numbers, and the same times in it."""

    def extract_timestamp(self, value, record_timestamp):
        if value % 1000 == 0:
            hashlib.pbkdf2_hmac("sha256", b"value", b"salt", 20_000)  # some ten milliseconds
        return value % (LAST // 3)


class Count(KeyedProcessFunction):
    """Rows, and those of them that were late."""

    def open(self, ctx):
        self.count = ctx.get_state(ValueStateDescriptor("count", Types.TUPLE([Types.LONG(), Types.LONG()])))
        self.is_saved = False

    def notify_checkpoint_complete(self, checkpoint_id):
        self.is_saved = True

    def process_element(self, value, ctx):
        if FAILS and self.is_saved:
            raise ValueError("planned")
        if self.count.value() is None:
            ctx.timer_service().register_event_time_timer(2**60)
        rows, late = self.count.value() or (0, 0)
        self.count.update((rows + 1, late + (ctx.timestamp() <= ctx.timer_service().current_watermark())))

    def on_timer(self, timestamp, ctx):
        yield self.count.value()


env = StreamExecutionEnvironment.get_execution_environment()
strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Time())
numbers = env.from_source(NumberSequenceSource(0, LAST - 1), strategy, "numbers", Types.LONG()).uid("numbers")
keyed = numbers.key_by(lambda value: value % KEYS, Types.LONG())
keyed.process(Count(), Types.TUPLE([Types.LONG(), Types.LONG()])).uid("count").print()
env.execute("in time")
'''


def newest_checkpoint(folder: Path) -> Path:
    found = sorted(folder.glob("*/chk-*/_metadata"), key=lambda path: path.stat().st_mtime_ns)
    return found[-1].parent


def test_no_row_is_late_where_fewer_readers_go_on(tmp_path: Path) -> None:
    """[T6][C21] Three subtasks, then two, then one: splits that wait to be read hold event time back."""
    job = tmp_path / "in_time.py"
    job.write_text(IN_TIME)
    options = {
        "execution.checkpointing.dir": str(tmp_path / "checkpoints"),
        "execution.checkpointing.interval": "100ms",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "none",
        "pipeline.auto-watermark-interval": "10ms",
    }
    settings = [word for key, value in options.items() for word in ("-D", f"{key}={value}")]
    start: list[str] = []
    for parallelism in ("3", "2"):
        failed = run(job, "-p", parallelism, *settings, *start, arguments=("fails",))
        assert failed.returncode == 1, failed.stderr
        assert "planned" in failed.stderr
        start = ["-s", str(newest_checkpoint(tmp_path / "checkpoints"))]
    done = run(job, "-p", "1", *settings, *start)
    assert done.returncode == 0, done.stderr
    counts = [tuple(map(int, pair)) for pair in re.findall(r"^(?:\d+> )?\((\d+),(\d+)\)$", done.stdout, re.MULTILINE)]
    assert len(counts) == KEYS
    assert [sum(column) for column in zip(*counts, strict=True)] == [LAST, 0]
