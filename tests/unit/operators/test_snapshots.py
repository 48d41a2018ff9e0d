"""Everything that operators keep across elements is in their snapshots, and is restored."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

import shmflink.operators
from shmflink.common import Row, Types
from shmflink.core.elements import BARRIER_SAVEPOINT, Barrier, Watermark
from shmflink.datastream.functions import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedProcessFunction,
    MapFunction,
)
from shmflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from shmflink.errors import StateMismatchError, UserFunctionError
from shmflink.operators.base import Operator, SideOutput
from shmflink.operators.functions.broadcast_process import BroadcastProcessOperator, KeyedBroadcastProcessOperator
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.map import MapOperator
from shmflink.operators.functions.process import KeyedProcessOperator, ProcessOperator
from shmflink.operators.functions.reduce import ReduceOperator
from shmflink.operators.functions.rolling import AggregateOperator
from shmflink.operators.time.timer_service import TIMERS_AT_ONCE
from shmflink.state.descriptors import ListStateDescriptor
from shmflink.state.snapshots import OperatorSnapshot, RestoredState, restored_from
from shmflink.testing import OperatorHarness

STATELESS = {
    "AsColumnsOperator": "each batch for itself",
    "ColumnKeyExtractor": "each batch for itself",
    "ColumnarLocalAggregate": "in STREAMING it is empty after each batch",
    "ColumnarLocalWindowAggregate": "in STREAMING it is empty after each batch",
    "ColumnarOperator": "abstract",
    "ColumnsOperator": "each batch for itself",
    "HashJoinOperator": "in BATCH mode alone",
    "KeyAndRowOperator": "each batch for itself",
    "KeyExtractor": "each batch for itself",
    "KeyedValuesOperator": "each batch for itself",
    "LocalAggregateOperator": "in STREAMING it is empty after each batch",
    "LocalWindowAggregateOperator": "in STREAMING it is empty after each batch",
    "ProjectOperator": "each batch for itself",
    "TimestampsAndWatermarksOperator": "watermarks begin anew after a restore, as in Flink",
}
"""Operators that hold nothing across a barrier, and why. Whoever adds one that does gives it `snapshot_state`."""


def all_operators() -> set[type[Operator]]:
    for module in pkgutil.walk_packages(shmflink.operators.__path__, "shmflink.operators."):
        importlib.import_module(module.name)
    found: set[type[Operator]] = set()
    waiting: list[type[Operator]] = [Operator]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith("shmflink.operators"):
                found.add(kind)
            waiting.append(kind)
    return found


def test_every_operator_has_snapshots_or_says_why_not() -> None:
    without = {kind.__name__ for kind in all_operators() if kind.snapshot_state is Operator.snapshot_state}
    assert without == set(STATELESS), "give it snapshot_state, or say in STATELESS why it needs none"


def key(row: Any) -> Any:
    return row[0]


def restored(snapshot: OperatorSnapshot) -> RestoredState:
    return restored_from([snapshot], range(128), 0, 1)


class Buffering(MapFunction):
    """Flink's CheckpointedFunction and CheckpointListener."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def initialize_state(self, context: Any) -> None:
        self.told.append(("restored", context.is_restored()))
        self.kept = context.get_operator_state_store().get_list_state(ListStateDescriptor("kept", Types.LONG()))
        self.numbers = list(self.kept)

    def map(self, value: int) -> int:
        self.numbers.append(value)
        return sum(self.numbers)

    def snapshot_state(self, context: Any) -> None:
        self.told.append(("snapshot", context.get_checkpoint_id(), context.get_checkpoint_timestamp()))
        self.kept.update(self.numbers)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        self.told.append(("complete", checkpoint_id))

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        self.told.append(("aborted", checkpoint_id))


def test_a_function_takes_part_in_checkpoints() -> None:
    function = Buffering()
    with OperatorHarness(MapOperator(function)) as harness:
        harness.process_rows([1, 2])
        snapshot = harness.snapshot(Barrier(7, 1000))
        harness.operator.checkpoint_completed(7)
        harness.operator.checkpoint_aborted(8)
        harness.process_rows([100])
    assert function.told == [("restored", False), ("snapshot", 7, 1000), ("complete", 7), ("aborted", 8)]
    again = Buffering()
    for _ in range(2):  # what was restored is not changed by who got it
        with OperatorHarness(MapOperator(again), restored=restored(snapshot)) as harness:
            harness.process_rows([10])
            assert harness.rows() == [13]
    assert again.told == [("restored", True)] * 2


def test_a_function_that_fails_at_a_barrier_is_named() -> None:
    class Failing(MapFunction):
        def map(self, value: Any) -> Any:
            return value

        def snapshot_state(self, context: Any) -> None:
            raise RuntimeError("disk")

    with (
        OperatorHarness(MapOperator(Failing()), name="Mine") as harness,
        pytest.raises(UserFunctionError, match=r"(?s)'Mine'.*snapshot_state\(\).*disk"),
    ):
        harness.snapshot()


TYPED = Types.TUPLE([Types.STRING(), Types.LONG()])


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReduceOperator(lambda a, b: (a[0], a[1] + b[1]), TYPED),
        lambda: ReduceOperator(lambda a, b: (a[0], a[1] + b[1])),
        lambda: AggregateOperator("sum", 1, TYPED),
        lambda: AggregateOperator("sum", 1),
    ],
)
def test_rolling_results_go_on(make: Any) -> None:
    files: dict[str, list[Any]] = {}
    with OperatorHarness(make(), key_selector=key) as harness:
        for rows, is_delta in (
            ([("a", 1), ("b", 2), ("c", 3), ("d", 4)], False),
            ([("a", 10)], True),
            ([("a", 20), ("e", 5)], False),  # more than half
            ([("e", 1)], True),
        ):
            harness.process_rows(rows)
            for keyed in harness.snapshot().keyed:
                assert keyed.is_delta is is_delta
                files[keyed.name] = [*(files[keyed.name] if is_delta else ()), *keyed.batches()]
                keyed.saved(True)
    state = RestoredState(1, tuple(files), lambda name: iter(files[name]))
    with OperatorHarness(make(), key_selector=key, restored=state) as harness:
        harness.process_rows([("a", 100), ("b", 0), ("e", 0), ("new", 0)])
        assert harness.rows() == [("a", 131), ("b", 2), ("e", 6), ("new", 0)]


def test_a_reduce_function_that_changes_its_argument_does_not_change_a_snapshot() -> None:
    def add(total: Row, row: Row) -> Row:
        total["n"] += row["n"]
        return total

    with OperatorHarness(ReduceOperator(add), key_selector=lambda row: row.k) as harness:
        harness.process_rows([Row(k="a", n=1), Row(k="a", n=2), Row(k="b", n=7)])
        frozen = harness.snapshot()
        harness.process_rows([Row(k="a", n=10), Row(k="a", n=20), Row(k="new", n=1)])
        assert [row.n for row in harness.rows()] == [1, 3, 7, 13, 33, 1]
        values = [row["value"] for keyed in frozen.keyed for batch in keyed.batches() for row in batch.to_pylist()]
        assert sorted(value["n"] for value in values) == [3, 7]


def test_a_type_that_changed_is_refused_when_the_operator_opens() -> None:
    with OperatorHarness(ReduceOperator(max, Types.LONG()), key_selector=lambda n: n % 3) as harness:
        harness.process_rows([1, 2, 3])
        snapshot = harness.snapshot()
    harness = OperatorHarness(ReduceOperator(max, Types.STRING()), name="Max", restored=restored(snapshot))
    with pytest.raises(StateMismatchError, match=r"'Max'.*Long.*String"), harness:
        pass


RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())


class Plain(BroadcastProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield value, list(ctx.get_broadcast_state(RULES).items())

    def process_broadcast_element(self, value: Any, ctx: Any) -> None:
        ctx.get_broadcast_state(RULES).put(value, len(value))


class Keyed(KeyedBroadcastProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield value, list(ctx.get_broadcast_state(RULES).items())

    def process_broadcast_element(self, value: Any, ctx: Any) -> None:
        ctx.get_broadcast_state(RULES).put(value, len(value))


@pytest.mark.parametrize(("operator", "function"), [
    (BroadcastProcessOperator, Plain), (KeyedBroadcastProcessOperator, Keyed)
])  # fmt: skip
def test_broadcast_state_is_in_every_subtask_again(operator: Any, function: Any) -> None:
    with OperatorHarness(operator(function(), [RULES]), key_selector=key) as harness:
        harness.process_batch(harness.batch(["ab"]), 1)
        snapshot = harness.snapshot()
        harness.process_batch(harness.batch(["cde"]), 1)
    for subtask in range(2):
        state = restored_from([snapshot], range(64 * subtask, 64 * subtask + 64), subtask, 2)
        with OperatorHarness(operator(function(), [RULES]), key_selector=key, restored=state) as harness:
            harness.process_rows(["x"])
            assert harness.rows() == [("x", [("ab", 2)])]


class Waiting(KeyedProcessFunction):
    """Sets timers of both kinds; says when they fire only for one key."""

    def process_element(self, value: Any, ctx: Any) -> None:
        ctx.timer_service().register_event_time_timer(value[1])
        ctx.timer_service().register_processing_time_timer(value[1])

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        if ctx.get_current_key() == "last":
            yield ctx.time_domain().name, timestamp


def waiting(rows: list[Any], **options: Any) -> tuple[OperatorSnapshot, OperatorHarness]:
    with OperatorHarness(KeyedProcessOperator(Waiting()), key_selector=key) as harness:
        harness.process_rows(rows)
        snapshot = harness.snapshot()
    return snapshot, OperatorHarness(
        KeyedProcessOperator(Waiting()), key_selector=key, restored=restored(snapshot), **options
    )


def test_timers_are_columns_and_fire_after_a_restore() -> None:
    snapshot, harness = waiting([("last", 50), ("a", 7)])
    event_timers = next(keyed for keyed in snapshot.keyed if keyed.name == "_event_timers")
    with harness:
        harness.process_watermark(50)
        harness.advance_processing_time_ms(60)
        assert harness.rows() == [("EVENT_TIME", 50), ("PROCESSING_TIME", 50)]
        (kept,) = (one for one in harness.snapshot().keyed if one.name == "_event_timers")
        assert list(kept.batches()) == []
    assert event_timers.name == "_event_timers"


def test_thousands_of_timers_that_came_due_meanwhile_let_others_have_their_turn() -> None:
    """[T10] After a long stop all processing-time timers are due at once: they fire in bounded pieces."""
    count = 3 * TIMERS_AT_ONCE
    rows = [*((number, 10) for number in range(count)), ("last", 11)]
    snapshot, harness = waiting(rows)
    with harness:
        queue = harness._processing_time
        harness.clock.advance_ms(24 * 3_600_000)  # type: ignore[attr-defined]
        turns = 0
        while queue.next_ms is not None:
            harness.elements.extend(queue.take()[1])
            turns += 1
        assert turns == 7  # few at first: what a timer costs is not known
        assert harness.rows() == [("PROCESSING_TIME", 11)]
        harness.clear()
        outputs = harness.operator.process_control(Watermark(10_000))
        assert all(isinstance(pause, SideOutput) for pause in islice(outputs, 3))
        assert len([one for one in outputs if not isinstance(one, SideOutput)]) == 2
    assert snapshot.keyed


def test_checkpoints_are_full_where_the_configuration_says_so() -> None:
    for value, expected in (("true", True), ("false", False)):
        options = {"execution.checkpointing.incremental": value}
        with OperatorHarness(ReduceOperator(max), key_selector=lambda n: n % 9, configuration=options) as harness:
            harness.process_rows(list(range(9)))
            for keyed in harness.snapshot().keyed:
                keyed.saved(True)
            assert [keyed.is_delta for keyed in harness.snapshot().keyed] == [expected]
            savepoint = harness.snapshot(Barrier(9, 0, BARRIER_SAVEPOINT))
            assert [keyed.is_delta for keyed in savepoint.keyed] == [False]


def test_keyed_state_is_changed_by_the_function_at_a_barrier() -> None:
    class Counting(KeyedProcessFunction):
        def open(self, runtime_context: Any) -> None:
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

        def process_element(self, value: Any, ctx: Any) -> Iterator[int]:
            self.count.update((self.count.value() or 0) + 1)
            yield self.count.value()

    with OperatorHarness(KeyedProcessOperator(Counting()), key_selector=key) as harness:
        harness.process_rows(["a", "a"])
        state = restored(harness.snapshot())
    with OperatorHarness(KeyedProcessOperator(Counting()), key_selector=key, restored=state) as harness:
        harness.process_rows(["a"])
        assert harness.rows() == [3]
    assert issubclass(ProcessOperator, FunctionOperator)
