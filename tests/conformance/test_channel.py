"""What every mechanism of the channel contract (`network/channel.py`) must do: one suite, run for each mechanism."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pytest

from shmflink import _core
from shmflink.core.batch import Batch
from shmflink.core.elements import (
    MAX_WATERMARK,
    Barrier,
    ControlElement,
    Element,
    EndOfData,
    LatencyMarker,
    Watermark,
    WatermarkStatus,
)
from shmflink.core.keys.columns import encode_keys
from shmflink.core.keys.groups import owners
from shmflink.errors import UsageError
from shmflink.network.channel import InputGate, ResultPartition
from shmflink.network.local import (
    BroadcastSelector,
    CustomSelector,
    KeyGroupSelector,
    LocalChannel,
    LocalInputGate,
    LocalResultPartition,
    RoundRobinSelector,
    ShuffleSelector,
    SingleSelector,
)
from shmflink.network.shared_memory import SharedMemoryInputGate, SharedMemoryResultPartition

ROUNDS_MAX = 10_000  # watchdog of loops that have to end
MAX_PARALLELISM = 128
CREDITS = 2


class Edge(Protocol):
    """Makes the two sides of an edge: one gate for each consumer, one partition for each producer."""

    def __call__(
        self,
        strategy: str,
        consumers: int = 1,
        producers: int = 1,
        partitioner: Callable[[Any, int], int] | None = None,
        key_columns: Sequence[str] = (),
    ) -> tuple[list[ResultPartition], list[InputGate]]: ...


def local_edge(
    strategy: str,
    consumers: int = 1,
    producers: int = 1,
    partitioner: Callable[[Any, int], int] | None = None,
    key_columns: Sequence[str] = (),
) -> tuple[Sequence[ResultPartition], Sequence[InputGate]]:
    selectors: dict[str, Callable[[], Any]] = {
        "FORWARD": SingleSelector,
        "GLOBAL": SingleSelector,
        "BROADCAST": BroadcastSelector,
        "REBALANCE": RoundRobinSelector,
        "SHUFFLE": ShuffleSelector,
        "HASH": lambda: KeyGroupSelector(owners, MAX_PARALLELISM, key_columns),
        "CUSTOM": lambda: CustomSelector(partitioner or (lambda key, count: 0)),
    }
    channels = [[LocalChannel(CREDITS) for _ in range(consumers)] for _ in range(producers)]
    partitions = [LocalResultPartition(own, selectors[strategy]()) for own in channels]
    return partitions, [LocalInputGate([own[c] for own in channels]) for c in range(consumers)]


def shared_memory_edge(
    strategy: str,
    consumers: int = 1,
    producers: int = 1,
    partitioner: Callable[[Any, int], int] | None = None,
    key_columns: Sequence[str] = (),
) -> tuple[Sequence[ResultPartition], Sequence[InputGate]]:
    ring_memories = [_core.RingMemory.create(1, 1, producers, 16, 4) for _ in range(consumers)]
    producer = _core.RingMemory.create(1, producers, 0, 16, 4)
    arenas = [_core.Arena.create(1, 4096, CREDITS * consumers) for _ in range(producers)]
    partitions = [
        SharedMemoryResultPartition(
            arena,
            [(ring_memory, ring, ring_memory.doorbell(0)) for ring_memory in ring_memories],
            strategy=strategy,
            exclusive=CREDITS,
            max_parallelism=MAX_PARALLELISM,
            partitioner=partitioner,
            key_columns=key_columns,
        )
        for ring, arena in enumerate(arenas)
    ]
    gates = [
        SharedMemoryInputGate(
            ring_memory,
            [(ring, arena, producer.doorbell(ring)) for ring, arena in enumerate(arenas)],
            exclusive=CREDITS,
            floating=0,
        )
        for ring_memory in ring_memories
    ]
    return partitions, gates


@pytest.fixture(params=[local_edge, shared_memory_edge], ids=["local", "shared_memory"])
def edge(request: pytest.FixtureRequest) -> Edge:
    make: Edge = request.param
    return make


@dataclass
class Sink:
    """Takes everything from a gate."""

    gate: InputGate

    def __post_init__(self) -> None:
        self.elements: list[tuple[int, Any]] = []

    def take(self, at_most: int = ROUNDS_MAX) -> None:
        for _ in range(at_most):
            polled = self.gate.poll()
            if polled is None:
                return
            channel, element = polled
            rows = element.rows() if isinstance(element, Batch) else None
            self.elements += [(channel, element)] if rows is None else [(channel, row) for row in rows]

    def of(self, channel: int) -> list[Any]:
        return [element for from_, element in self.elements if from_ == channel]


def send(partition: ResultPartition, element: Element, sinks: Sequence[Sink]) -> None:
    """Writes or emits to the end, consumers taking what comes."""
    done = partition.write(element) if isinstance(element, Batch) else partition.emit(element)
    for _ in range(ROUNDS_MAX):
        if done:
            return
        for sink in sinks:
            sink.take()
        done = partition.resume()
    pytest.fail("the write never ends")


def finish(partitions: Sequence[ResultPartition], sinks: Sequence[Sink]) -> None:
    for _ in range(ROUNDS_MAX):
        for partition in partitions:
            partition.flush()
        for sink in sinks:
            sink.take()
        if not any(partition.has_pending for partition in partitions):
            return
    pytest.fail("something stays pending")


def numbers(first: int, count: int, keys: bool = False) -> Batch:
    rows = list(range(first, first + count))
    return Batch.of_rows(rows, keys=encode_keys(rows) if keys else None)


def test_rows_and_control_elements_keep_their_order(edge: Edge) -> None:
    (partition,), (gate,) = edge("FORWARD")
    sink = Sink(gate)
    controls: list[ControlElement] = [
        Watermark(5),
        WatermarkStatus(idle=True),
        WatermarkStatus(idle=False),
        Barrier(1, 2, 1),
        LatencyMarker(3, 4),
        MAX_WATERMARK,
        EndOfData(drained=False),
    ]
    expected: list[Any] = []
    for i, element in enumerate(controls):
        send(partition, numbers(i * 10, 10), [sink])
        send(partition, element, [sink])
        expected += [*range(i * 10, i * 10 + 10), element]
    finish([partition], [sink])
    assert sink.of(0) == expected


def test_timestamps_keys_and_python_types_travel(edge: Edge) -> None:
    (partition,), (gate,) = edge("FORWARD")
    rows: list[Any] = [1, True, 1.5, None, "text", (1, "a"), {"any": {"object"}}]
    batch = Batch.of_rows(
        rows, timestamps=pa.array(range(7), pa.int64()), keys=encode_keys([1, "a", 1.0, True, None, b"x", (1, 2)])
    )
    assert partition.write(batch)
    partition.flush()
    polled = gate.poll()
    assert polled is not None
    received = polled[1]
    assert isinstance(received, Batch)
    assert [(type(row), row) for row in received.rows()] == [(type(row), row) for row in rows]
    assert received.timestamps is not None
    assert received.timestamps.to_pylist() == list(range(7))
    assert received.keys.equals(batch.keys)


def test_a_producer_without_credit_suspends_and_goes_on(edge: Edge) -> None:
    (partition,), (gate,) = edge("FORWARD")
    sink, written = Sink(gate), 0
    while partition.write(numbers(written, 1000)):
        written += 1000
        assert written < 1_000_000, "credit ends"
    assert partition.is_blocked
    assert not partition.resume()
    sink.take()
    assert not partition.is_blocked
    for _ in range(ROUNDS_MAX):
        if partition.resume():
            break
        sink.take()
    finish([partition], [sink])
    assert sink.of(0) == list(range(written + 1000))


def test_control_passes_blocked_channels_of_other_consumers(edge: Edge) -> None:
    """A barrier for every channel arrives although one consumer reads nothing before."""
    (partition,), gates = edge("REBALANCE", consumers=2)
    sinks = [Sink(gate) for gate in gates]
    send(partition, numbers(0, 10), sinks)
    assert partition.emit(Barrier(1, 2))
    sinks[1].take()
    assert sinks[1].of(0)[-1] == Barrier(1, 2)
    sinks[0].take()
    assert sinks[0].of(0) == [0, 2, 4, 6, 8, Barrier(1, 2)]


def test_waiting_watermarks_give_way_to_newer_ones(edge: Edge) -> None:
    (partition,), (gate,) = edge("FORWARD")
    for timestamp in range(1000):
        assert partition.emit(Watermark(timestamp)), "a watermark never suspends"
    sink = Sink(gate)
    finish([partition], [sink])
    received = [element.timestamp_ms for element in sink.of(0)]
    assert received == sorted(received)
    assert received[-1] == 999
    assert len(received) < 1000


def test_a_watermark_never_overtakes_rows(edge: Edge) -> None:
    (partition,), (gate,) = edge("FORWARD")
    sink = Sink(gate)
    for step in range(300):
        send(partition, numbers(step, 1), [sink])
        send(partition, Watermark(step), [])
    finish([partition], [sink])
    rows_before = 0
    for element in sink.of(0):
        if isinstance(element, Watermark):
            assert element.timestamp_ms < rows_before
        else:
            rows_before = element + 1
    assert rows_before == 300


def test_hash_sends_a_key_to_its_owner(edge: Edge) -> None:
    (partition,), gates = edge("HASH", consumers=3)
    sinks = [Sink(gate) for gate in gates]
    send(partition, numbers(0, 500, keys=True), sinks)
    finish([partition], sinks)
    owned = owners(encode_keys(list(range(500))), MAX_PARALLELISM, 3).tolist()
    assert [sink.of(0) for sink in sinks] == [[i for i in range(500) if owned[i] == c] for c in range(3)]


def test_mechanisms_agree_on_the_owner_of_keys_in_columns(edge: Edge) -> None:
    columns = {
        "i": pa.array([1, None, 3, 1, 2**40] * 20, pa.int64()),
        "s": ["x", "y", None, "x", ""] * 20,
        "b": pa.array([b"1", b"", None, b"1", b"n"] * 20, pa.large_binary()),
        "f": [0.0, float("nan"), 1.5, -0.0, None] * 20,
        "d": pa.array([1, 2, 3, 1, None] * 20, pa.date32()),
    }
    batch = Batch.of_columns(pa.record_batch({**columns, "row": pa.array(range(100))}))
    for names in (["i"], ["b"], ["s", "i"], list(columns)):
        (partition,), gates = edge("HASH", consumers=3, key_columns=names)
        sinks = [Sink(gate) for gate in gates]
        send(partition, batch, sinks)
        finish([partition], sinks)
        groups = _core.key_groups(
            [batch.columns().column(name) for name in names], MAX_PARALLELISM, [False] * len(names)
        )
        owned = [group * 3 // MAX_PARALLELISM for group in groups.to_pylist()]
        assert [[row.row for row in sink.of(0)] for sink in sinks] == [
            [row for row in range(100) if owned[row] == consumer] for consumer in range(3)
        ], names
        assert owned[0] == owned[3], "-0.0 and 0.0 are one key"


def test_mechanisms_agree_on_the_owner_of_mixed_keys(edge: Edge) -> None:
    (partition,), gates = edge("HASH", consumers=4)
    sinks = [Sink(gate) for gate in gates]
    # All together they are canonical bytes, alone typed columns.
    keys: list[Any] = [1, 1.0, True, "1", b"1", None, (1,), -0.0, 0.0, float("nan"), 2**70]
    send(partition, Batch.of_rows(list(range(11)), keys=encode_keys(keys)), sinks)
    for i, key in enumerate(keys):
        send(partition, Batch.of_rows([i], keys=encode_keys([key])), sinks)
    finish([partition], sinks)
    where = [{c for c, sink in enumerate(sinks) if row in sink.of(0)} for row in range(11)]
    assert all(len(channels) == 1 for channels in where)
    assert where[7] == where[8], "-0.0 and 0.0 are one key"


def test_round_robin_and_global_and_broadcast(edge: Edge) -> None:
    expected = {
        "REBALANCE": [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]],
        "GLOBAL": [list(range(10)), [], []],
        "BROADCAST": [list(range(10))] * 3,
    }
    for strategy, rows in expected.items():
        (partition,), gates = edge(strategy, consumers=3)
        sinks = [Sink(gate) for gate in gates]
        send(partition, numbers(0, 4), sinks)
        send(partition, numbers(4, 6), sinks)
        finish([partition], sinks)
        assert [sink.of(0) for sink in sinks] == rows, strategy


def test_shuffle_loses_nothing_and_uses_all_channels(edge: Edge) -> None:
    (partition,), gates = edge("SHUFFLE", consumers=4)
    sinks = [Sink(gate) for gate in gates]
    send(partition, numbers(0, 1000), sinks)
    finish([partition], sinks)
    assert sorted(row for sink in sinks for row in sink.of(0)) == list(range(1000))
    assert all(len(sink.of(0)) > 150 for sink in sinks)


def test_a_custom_partitioner_sees_keys_as_they_were(edge: Edge) -> None:
    seen: list[Any] = []

    def choose(key: Any, count: int) -> int:
        seen.append(key)
        return len(str(key)) % count

    (partition,), gates = edge("CUSTOM", consumers=3, partitioner=choose)
    sinks = [Sink(gate) for gate in gates]
    keys = ["a", "bb", "ccc", "dddd"]
    send(partition, Batch.of_rows(keys, keys=encode_keys(keys)), sinks)
    finish([partition], sinks)
    assert seen == keys
    assert [sink.of(0) for sink in sinks] == [["ccc"], ["a", "dddd"], ["bb"]]


@pytest.mark.parametrize("chosen", [3, -1, "0", None])
def test_a_custom_partitioner_out_of_range_is_told(edge: Edge, chosen: Any) -> None:
    (partition,), _ = edge("CUSTOM", consumers=3, partitioner=lambda key, count: chosen)
    with pytest.raises(UsageError, match=r"returned .* for the key 'k'.*from 0 to 2"):
        partition.write(Batch.of_rows(["k"], keys=encode_keys(["k"])))


def test_polling_is_fair_between_channels(edge: Edge) -> None:
    partitions, (gate,) = edge("FORWARD", producers=3)
    for partition in partitions:
        assert partition.write(numbers(0, 2))
        partition.flush()
        assert partition.emit(EndOfData())
    channels = [polled[0] for polled in iter(gate.poll, None) if polled]
    assert sorted(channels[:3]) == [0, 1, 2]
    assert sorted(channels[3:]) == [0, 1, 2]


def test_a_blocked_channel_waits_and_loses_nothing(edge: Edge) -> None:
    partitions, (gate,) = edge("FORWARD", producers=2)
    sink = Sink(gate)
    assert gate.num_channels == 2
    gate.block(0)
    for partition in partitions:
        assert partition.write(numbers(0, 3))
        assert partition.emit(Barrier(1, 0))
    sink.take()
    assert sink.elements == [(1, 0), (1, 1), (1, 2), (1, Barrier(1, 0))]
    assert not gate.is_available
    gate.unblock(0)
    assert gate.is_available
    sink.take()
    assert sink.of(0) == [0, 1, 2, Barrier(1, 0)]
    assert not gate.is_available


def test_empty_batches_do_no_harm(edge: Edge) -> None:
    (partition,), gates = edge("HASH", consumers=2)
    sinks = [Sink(gate) for gate in gates]
    send(partition, numbers(0, 0, keys=True), sinks)
    send(partition, EndOfData(), sinks)
    finish([partition], sinks)
    assert [sink.of(0) for sink in sinks] == [[EndOfData()]] * 2


def test_batches_outlive_their_gate(edge: Edge) -> None:
    """[M14]"""
    (partition,), (gate,) = edge("FORWARD")
    assert partition.write(numbers(0, 100))
    partition.flush()
    polled = gate.poll()
    gate.close()
    gate.close()
    partition.close()
    partition.close()
    assert polled is not None
    assert isinstance(polled[1], Batch)
    assert polled[1].rows() == list(range(100))


def test_a_consumer_that_keeps_batches_does_not_stall(edge: Edge) -> None:
    """[M13]"""
    (partition,), (gate,) = edge("FORWARD")
    kept: list[Batch] = []

    def take() -> None:
        while (polled := gate.poll()) is not None:
            assert isinstance(polled[1], Batch)
            kept.append(polled[1])

    for step in range(50):
        done = partition.write(numbers(step * 300, 300))
        for _ in range(ROUNDS_MAX):
            if done:
                break
            take()
            done = partition.resume()
        assert done
    partition.flush()
    take()
    assert [row for batch in kept for row in batch.rows()] == list(range(15_000))
