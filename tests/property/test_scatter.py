"""Scatter against a plain Python model: random schemas, batches, segment sizes and strategies through real channels."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink import _core
from shmflink.core.keys.groups import owners

POLLS_MAX = 100_000  # watchdog of a loop that has to end


@dataclass
class Wire:
    """A partition and its consumers, one gate for each channel, all in this process."""

    partition: _core.ResultPartition
    gates: list[_core.InputGate]
    batches: list[list[pa.RecordBatch]]
    arena: _core.Arena

    @classmethod
    def create(
        cls,
        channels: int,
        strategy: str,
        *,
        segment_bytes: int = 4096,
        exclusive: int = 2,
        floating: int = 3,
        start_position: int = 0,
        **options: Any,
    ) -> Wire:
        ring_memories = [
            _core.RingMemory.create(1, 1, 1, 64, 4, start_position=start_position) for _ in range(channels)
        ]
        producer = _core.RingMemory.create(1, 1, 0, 64, 4)
        arena = _core.Arena.create(1, segment_bytes, exclusive * channels + floating)
        partition = _core.ResultPartition(
            arena,
            [(ring_memory, 0, ring_memory.doorbell(0)) for ring_memory in ring_memories],
            strategy=strategy,
            exclusive=exclusive,
            **options,
        )
        gates = [
            _core.InputGate(r, [(0, arena, producer.doorbell(0))], exclusive=exclusive, floating=floating)
            for r in ring_memories
        ]
        return cls(partition, gates, [[] for _ in ring_memories], arena)

    def receive(self) -> None:
        """Takes what is there; copies, so that credit returns."""
        for gate, received in zip(self.gates, self.batches, strict=True):
            while (polled := gate.poll()) is not None:
                assert len(polled) == 2
                polled[1].validate(full=True)
                received.append(_copy(polled[1]))

    def send(self, batch: pa.RecordBatch, targets: pa.Array | None = None) -> None:
        done = self.partition.write(batch, targets)
        for _ in range(POLLS_MAX):
            if done:
                return
            self.receive()
            done = self.partition.resume()
        pytest.fail("the write never ends")

    def finish(self) -> list[list[dict[str, Any]]]:
        """All rows of each channel, in order."""
        for _ in range(POLLS_MAX):
            self.partition.flush()
            self.receive()
            if not self.partition.has_pending:
                break
        self.receive()
        rows = [[row for batch in channel for row in batch.to_pylist()] for channel in self.batches]
        assert self.partition.rows_out == sum(len(channel) for channel in rows)
        return rows


def _copy(batch: pa.RecordBatch) -> pa.RecordBatch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch()


def texts(size: int = 30) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=size)


I64 = st.integers(-(2**63), 2**63 - 1)
WORDS = st.sampled_from([f"word {i}" * (i % 5) for i in range(100)])
FLAT: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint16(), st.integers(0, 2**16 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), I64),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.utf8(), texts()),
    (pa.large_utf8(), texts()),
    (pa.binary(), st.binary(max_size=60)),
    (pa.binary(5), st.binary(min_size=5, max_size=5)),
    (pa.decimal128(20, 2), st.decimals(-(10**9), 10**9, places=2)),
    (pa.decimal256(50, 2), st.decimals(-(10**9), 10**9, places=2)),
    (pa.timestamp("us"), st.datetimes()),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.duration("us"), st.timedeltas(-dt.timedelta(9), dt.timedelta(9))),
    (pa.null(), st.none()),
]
NESTED: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.list_(pa.int32()), st.lists(st.none() | st.integers(0, 9), max_size=4)),
    (pa.large_list(pa.utf8()), st.lists(st.none() | texts(), max_size=3)),
    (pa.list_(pa.int16(), 2), st.lists(st.none() | st.integers(0, 9), min_size=2, max_size=2)),
    (pa.list_(pa.list_(pa.bool_())), st.lists(st.none() | st.lists(st.booleans(), max_size=3), max_size=3)),
    (pa.struct({"a": pa.int64(), "b": pa.utf8()}), st.fixed_dictionaries({"a": I64, "b": st.none() | texts()})),
    (pa.map_(pa.utf8(), pa.int32()), st.lists(st.tuples(texts(), st.none() | st.integers(0, 9)), max_size=3)),
    (pa.dictionary(pa.int8(), pa.utf8()), WORDS),
    (pa.string_view(), texts()),
    (pa.binary_view(), st.binary(max_size=60)),
    (pa.struct({"l": pa.list_(pa.string_view())}), st.fixed_dictionaries({"l": st.lists(texts(), max_size=2)})),
]


@st.composite
def batches(draw: st.DrawFn, kinds: list[tuple[pa.DataType, st.SearchStrategy[Any]]]) -> list[pa.RecordBatch]:
    """Sliced batches of one schema, each row with a number `row` that is its place among all."""
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=4))
    nullable = [draw(st.booleans()) for _ in chosen]
    made, first = [], 0
    for rows in draw(st.lists(st.integers(0, 60), min_size=1, max_size=4)):
        offset, rest = draw(st.integers(0, 9)), draw(st.integers(0, 3))
        total = offset + rows + rest
        columns: dict[str, pa.Array] = {"row": pa.array(range(first - offset, first - offset + total), pa.int64())}
        for i, ((kind, values), nulls) in enumerate(zip(chosen, nullable, strict=True)):
            items = draw(st.lists(st.none() | values if nulls else values, min_size=total, max_size=total))
            columns[f"c{i}"] = array_of(items, kind)
        made.append(pa.record_batch(columns).slice(offset, rows))
        first += rows
    return made


def array_of(items: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(items, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(items, kind)


SEGMENTS = st.sampled_from([1024, 2048, 4096, 65536])
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def check(
    sent: list[pa.RecordBatch], wire: Wire, target_of: Callable[[dict[str, Any]], list[int]], targets: list[pa.Array]
) -> None:
    """Sends all; each channel has its rows, in order."""
    expected: list[list[dict[str, Any]]] = [[] for _ in wire.gates]
    for batch, chosen in zip(sent, targets, strict=True):
        wire.send(batch, chosen)
        for row in batch.to_pylist():
            for channel in target_of(row):
                expected[channel].append(row)
    assert wire.finish() == expected
    for channel in wire.batches:
        assert all(batch.schema.equals(sent[0].schema, check_metadata=True) for batch in channel)


@pytest.mark.parametrize("kinds", [FLAT, FLAT + NESTED], ids=["flat", "nested"])
def test_rows_keep_their_order_and_go_where_they_should(kinds: list[Any]) -> None:
    @PROPERTY
    @given(batches(kinds), SEGMENTS, st.integers(1, 5), st.integers(1, 3), st.data())
    def property_(sent: list[pa.RecordBatch], segment: int, channels: int, exclusive: int, data: st.DataObject) -> None:
        wire = Wire.create(channels, "CUSTOM", segment_bytes=segment, exclusive=exclusive)
        total = sum(batch.num_rows for batch in sent)
        chosen = data.draw(st.lists(st.integers(0, channels - 1), min_size=total, max_size=total))
        targets = [pa.array([chosen[row] for row in batch.column("row").to_pylist()], pa.int32()) for batch in sent]
        check(sent, wire, lambda row: [chosen[row["row"]]], targets)

    property_()


@pytest.mark.parametrize("kinds", [FLAT, FLAT + NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize("strategy", ["FORWARD", "REBALANCE", "RESCALE", "BROADCAST", "GLOBAL", "HASH", "SHUFFLE"])
def test_every_strategy_follows_its_rule(strategy: str, kinds: list[Any]) -> None:
    @settings(PROPERTY, max_examples=20)
    @given(batches(kinds), SEGMENTS, st.integers(1, 5), st.integers(0, 20))
    def property_(sent: list[pa.RecordBatch], segment: int, channels: int, seed: int) -> None:
        wire = Wire.create(
            channels, strategy, segment_bytes=segment, seed=seed, max_parallelism=16, key_columns=["row"]
        )
        rules: dict[str, Callable[[int], list[int]]] = {
            "BROADCAST": lambda row: list(range(channels)),
            "GLOBAL": lambda row: [0],
            "HASH": lambda row: owners(pa.array([row]), 16, channels).tolist(),
        }
        rule = rules.get(strategy, lambda row: [(seed + row) % channels])
        if strategy != "SHUFFLE":
            return check(sent, wire, lambda row: rule(row["row"]), [None] * len(sent))
        for batch in sent:
            wire.send(batch)
        received = [row for channel in wire.finish() for row in channel]
        assert sorted(received, key=lambda row: row["row"]) == [row for batch in sent for row in batch.to_pylist()]
        return None

    property_()


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x" * 100_000, "y", "", "z" * 5000, "w" * 200_000]),
        pa.array([[1] * 50_000, [], None, [2] * 3, [3] * 20_000]),
        pa.array(["x" * 100_000, "y", None, "z" * 5000, "w" * 200_000], pa.string_view()),
        pa.array(["a" * 70_000, "b", "a" * 70_000, "b", "b"]).dictionary_encode(),
    ],
    ids=["utf8", "list", "string_view", "dictionary"],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_rows_larger_than_a_segment_take_several(column: pa.Array, channels: int) -> None:
    batch = pa.record_batch({"row": range(5), "c": column})
    wire = Wire.create(channels, "CUSTOM", segment_bytes=4096, exclusive=1, floating=0)
    targets = pa.array([row % channels for row in range(5)], pa.int32())
    check([batch, batch], wire, lambda row: [row["row"] % channels], [targets, targets])


def test_batches_without_columns_are_their_row_count() -> None:
    wire = Wire.create(2, "REBALANCE")
    empty = pa.RecordBatch.from_struct_array(pa.array([{}] * 7, pa.struct([])))
    wire.send(empty)
    wire.partition.flush()
    wire.receive()
    assert [sum(batch.num_rows for batch in channel) for channel in wire.batches] == [4, 3]
    assert wire.batches[0][0].num_columns == 0


def test_empty_batches_vanish() -> None:
    wire = Wire.create(1, "FORWARD")
    wire.send(pa.record_batch({"a": pa.array([], pa.int64())}))
    assert not wire.partition.has_pending
    assert wire.finish() == [[]]


def test_small_batches_fill_segments() -> None:
    wire = Wire.create(4, "REBALANCE", segment_bytes=65536, exclusive=2)
    for start in range(0, 8000, 8):
        wire.send(pa.record_batch({"a": range(start, start + 8)}))
    rows = wire.finish()
    assert [len(channel) for channel in rows] == [2000] * 4
    assert [len(channel) for channel in wire.batches] == [1] * 4


def test_schemas_may_alternate() -> None:
    wire = Wire.create(2, "REBALANCE", segment_bytes=4096, exclusive=1)
    kinds: list[pa.Array] = [pa.array([1, 2]), pa.array(["a", "b"]), pa.array([[1], None]), pa.array([1.5, 2.5])]
    for turn in range(80):
        wire.send(pa.record_batch({f"c{turn % 4}": kinds[turn % 4]}))
    assert wire.finish()[0] == [{f"c{t % 4}": kinds[t % 4][0].as_py()} for t in range(80)]


def test_more_schemas_than_a_channel_remembers() -> None:
    wire = Wire.create(1, "FORWARD", segment_bytes=4096, exclusive=1)
    names = [f"c{i % 100}" for i in range(230)]
    for i, name in enumerate(names):
        wire.send(pa.record_batch({name: [i]}))
    assert wire.finish()[0] == [{name: i} for i, name in enumerate(names)]


def test_schema_metadata_survives() -> None:
    wire = Wire.create(1, "FORWARD")
    schema = pa.schema([pa.field("a", pa.int64(), metadata={"k": "v"})], metadata={"how": "rows"})
    wire.send(pa.record_batch([[1]], schema))
    wire.finish()
    assert wire.batches[0][0].schema.equals(schema, check_metadata=True)


def test_dictionaries_whose_union_is_too_large_go_apart() -> None:
    wire = Wire.create(1, "FORWARD", segment_bytes=65536)
    sent = [f"{batch}-{i}" for batch in range(4) for i in range(100)]
    for batch in range(4):
        column = (
            pa.array(sent[batch * 100 : batch * 100 + 100])
            .dictionary_encode()
            .cast(pa.dictionary(pa.int8(), pa.utf8()))
        )
        wire.send(pa.record_batch({"a": column}))
    assert [row["a"] for row in wire.finish()[0]] == sent


def test_counters_pass_their_wrap_around() -> None:
    wire = Wire.create(2, "REBALANCE", segment_bytes=1024, start_position=2**64 - 5)
    batch = pa.record_batch({"row": range(3000)})
    check([batch], wire, lambda row: [row["row"] % 2], [None])


def test_decimals_of_every_width_round_trip() -> None:
    values = [decimal.Decimal("1.25"), None, decimal.Decimal("-9.75")]
    kinds = [pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(20, 2), pa.decimal256(60, 2)]
    batch = pa.record_batch({str(kind): pa.array(values, kind) for kind in kinds})
    wire = Wire.create(1, "FORWARD")
    wire.send(batch)
    assert wire.finish()[0] == batch.to_pylist()
