"""Jobs with state fail and resume from a checkpoint: the output equals that of an undisturbed run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shmflink.common import Configuration, Duration, Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.datastream.functions import KeyedProcessFunction, ProcessWindowFunction
from shmflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from shmflink.datastream.window import EventTimeSessionWindows

ROWS = 12_000
KEYS = 40
FAILURES = 2
OF_FOUR = Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG(), Types.LONG()])


def functions() -> tuple[Any, Any, Any]:
    """Local classes travel by value: workers cannot import this module."""

    class Times(TimestampAssigner):
        def extract_timestamp(self, value: int, record_timestamp: int) -> int:
            return value

    class Failing(KeyedProcessFunction):
        """Value, list, map and a timer at the end of time. Fails in its first attempts, after checkpoints."""

        def initialize_state(self, context: Any) -> None:
            self.is_restored = context.is_restored()

        def open(self, runtime_context: Any) -> None:
            assert self.is_restored is (runtime_context.get_attempt_number() > 0)
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
            self.all = runtime_context.get_list_state(ListStateDescriptor("all", Types.LONG()))
            self.ends = runtime_context.get_map_state(MapStateDescriptor("ends", Types.STRING(), Types.LONG()))
            self.is_doomed = runtime_context.get_attempt_number() < FAILURES
            self.completed = 0

        def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
            self.completed += 1

        def process_element(self, value: int, ctx: Any) -> None:
            if self.is_doomed:  # works hard, so that there are checkpoints in between
                hashlib.pbkdf2_hmac("sha256", b"value", b"salt", 500)
            if self.is_doomed and self.completed >= 3:
                raise RuntimeError("doomed")
            self.count.update((self.count.value() or 0) + 1)
            self.all.add(value)
            self.ends.put("last", max(value, self.ends.get("last") or 0))  # two readers: in no order
            self.ends.put("first", min(value, self.ends.get("first") or ROWS))
            if self.count.value() == 1:
                ctx.timer_service().register_event_time_timer(10**15)

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
            ends = dict(self.ends.items())
            assert len(list(self.all)) == self.count.value()
            yield "key", ctx.get_current_key(), sum(self.all), ends["last"] - ends["first"]

    class Sessions(ProcessWindowFunction):
        def process(self, key: int, context: Any, elements: Any) -> Iterator[Any]:
            yield "session", key, context.window().start, sum(elements)

    return Times(), Failing(), Sessions()


def in_session(value: int) -> bool:
    return value % 1000 < 500


def expected() -> set[Any]:
    rows: set[Any] = set()
    for key in range(KEYS):
        values = [value for value in range(1, ROWS + 1) if value % KEYS == key]
        rows.add(("key", key, sum(values), values[-1] - values[0]))
        for thousand in range(ROWS // 1000 + 1):
            session = [value for value in values if value // 1000 == thousand and in_session(value)]
            if session:
                rows.add(("session", key, session[0], sum(session)))
    return rows


def test_state_timers_and_windows_survive_failures(tmp_path: Path) -> None:
    """[P1] Restored from the latest checkpoint, incremental ones too; nothing is lost or counted twice."""
    configuration = Configuration()
    for option, value in {
        "execution.checkpointing.interval": "50ms",
        "execution.checkpointing.dir": str(tmp_path),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "10",
        "restart-strategy.fixed-delay.delay": "1ms",
    }.items():
        configuration.set_string(option, value)
    times, failing, sums = functions()
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(2)
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(3000))
    numbers = env.from_source(
        NumberSequenceSource(1, ROWS), watermarks.with_timestamp_assigner(times), "numbers", Types.LONG()
    )
    keyed = numbers.key_by(lambda value: value % KEYS, Types.LONG()).process(failing, OF_FOUR)
    sessions = (
        numbers.filter(lambda value: value % 1000 < 500)
        .key_by(lambda value: value % KEYS, Types.LONG())
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(200)))
        .process(sums, OF_FOUR)
    )
    assert set(keyed.union(sessions).execute_and_collect()) == expected()
