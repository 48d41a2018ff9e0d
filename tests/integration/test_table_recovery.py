"""Windows over columns in jobs that fail and resume from a checkpoint: the output equals that of an undisturbed run."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shmflink.common import Configuration, Duration, Row, Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.datastream.functions import ProcessFunction
from shmflink.datastream.window import EventTimeSessionWindows, SlidingEventTimeWindows
from shmflink.expressions import col, count, lit

ROWS = 12_000
KEYS = 40
FAILURES = 2
SIZE, SLIDE, GAP = 3000, 1000, 200


def functions() -> tuple[Any, Any]:
    """Local classes travel by value: workers cannot import this module."""

    class Times(TimestampAssigner):
        def extract_timestamp(self, value: int, record_timestamp: int) -> int:
            return value

    class Failing(ProcessFunction):
        """Makes rows, and fails in its first attempts, after checkpoints."""

        def open(self, runtime_context: Any) -> None:
            self.is_doomed = runtime_context.get_attempt_number() < FAILURES
            self.completed = 0

        def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
            self.completed += 1

        def process_element(self, value: int, ctx: Any) -> Iterator[Any]:
            if self.is_doomed:  # works hard, so that there are checkpoints in between
                hashlib.pbkdf2_hmac("sha256", b"value", b"salt", 500)
            if self.is_doomed and self.completed >= 3:
                raise RuntimeError("doomed")
            yield Row(f"k{value % KEYS}", value)

    return Times(), Failing()


def expected_windows() -> set[Any]:
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for value in range(1, ROWS + 1):
        for start in range(value - value % SLIDE, value - SIZE, -SLIDE):
            sums[f"k{value % KEYS}", start][0] += 1
            sums[f"k{value % KEYS}", start][1] += value
    return {("window", key, start, *both) for (key, start), both in sums.items()}


def expected_sessions() -> set[Any]:
    rows: set[Any] = set()
    for key in range(KEYS):
        for thousand in range(ROWS // 1000 + 1):
            values = [v for v in range(1, ROWS + 1) if v % KEYS == key and v // 1000 == thousand and v % 1000 < 500]
            if values:
                rows.add(("session", f"k{key}", values[0], len(values), sum(values)))
    return rows


def instant(start: Any) -> int:
    """Milliseconds; a timestamp without a zone counts from 1970 as it stands."""
    return int((start - dt.datetime(1970, 1, 1)) / dt.timedelta(milliseconds=1))


def test_windows_survive_failures(tmp_path: Path) -> None:
    """[T8] [C21] Restored from full snapshots and changes; nothing is lost, counted twice or late."""
    configuration = Configuration()
    for option, value in {
        "execution.checkpointing.interval": "50ms",
        "execution.checkpointing.dir": str(tmp_path),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "10",
        "restart-strategy.fixed-delay.delay": "1ms",
    }.items():
        configuration.set_string(option, value)
    times, failing = functions()
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(2)
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(500))
    row_type = Types.ROW_NAMED(["key", "value"], [Types.STRING(), Types.LONG()])
    rows = env.from_source(
        NumberSequenceSource(1, ROWS), watermarks.with_timestamp_assigner(times), "numbers", Types.LONG()
    ).process(failing, row_type)
    sums: Any = {"n": count(), "total": col("value").sum}
    sliding = SlidingEventTimeWindows.of(Time.milliseconds(SIZE), Time.milliseconds(SLIDE))
    windows = rows.key_by("key").window(sliding).aggregate(**sums)
    sessions = (
        rows.filter(col("value") % 1000 < 500)
        .key_by("key")
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(GAP)))
        .aggregate(**sums)
    )

    def told(stream: Any, kind: str) -> Any:
        columns = stream.select("key", "n", "total", kind=lit(kind), start=col("window_start"))
        return columns.select("kind", "key", "start", "n", "total")

    both = told(windows, "window").union(told(sessions, "session"))
    rows_of_all = [tuple(row) for row in both.execute_and_collect()]
    got = {(kind, key, instant(start), n, total) for kind, key, start, n, total in rows_of_all}
    assert got == expected_windows() | expected_sessions()
