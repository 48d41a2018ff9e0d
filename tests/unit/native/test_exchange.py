"""Partitions, gates and the key hash from Python: credit, retention, refusals, frozen values."""

from __future__ import annotations

import datetime as dt
import decimal
import gc
import logging
import math
import mmap
import os
import struct
import threading
from typing import Any

import pyarrow as pa
import pytest

from shmflink import _core
from shmflink.core.batch import Batch
from shmflink.core.elements import Watermark
from shmflink.core.keys.groups import key_hash
from shmflink.errors import CorruptChannelError, InternalError, TypeMismatchError
from shmflink.network.shared_memory import SharedMemoryInputGate, SharedMemoryResultPartition, element_of_words

SEGMENT_BYTES = 4096
WATERMARK, BARRIER = 1, 3
WHEN = dt.datetime(2024, 2, 29, 1, 2, 3, 4)

# The hash is part of every savepoint: these values never change.
FROZEN: dict[str, tuple[pa.Array, list[str]]] = {
    "int64": (
        pa.array([0, 1, -1, 2**63 - 1, None]),
        ["d36d2ea120a31d83", "8167dd1e91f14daf", "568562916bc738be", "0d6905a1ee0c2111", "73e42015f9665145"],
    ),
    "uint64 beyond int64": (pa.array([2**63], pa.uint64()), ["3d8fff08956b5c57"]),
    "float64": (
        pa.array([0.0, -0.0, 1.0, math.nan, math.inf]),
        ["1afdfb3f111fec74", "1afdfb3f111fec74", "60f854851930f690", "dbafd74a264179a9", "f32510746f3ebdb1"],
    ),
    "bool": (pa.array([False, True]), ["6ec4ae66e9742336", "d4f78f18f96ec6a6"]),
    "utf8": (
        pa.array(["", "a", "key", "0123456", "0123456789abcdef", "0123456789abcdef0123456789abcdef!"]),
        [
            "a3d6ef684d31c456",
            "6a83b2c6d9bbf1d5",
            "ab66da4da4b72f5d",
            "f5fd19f3496a531e",
            "45b02007dc5a3339",
            "253c77de0518db67",
        ],
    ),
    "binary": (pa.array([b"", b"key"]), ["6697323de7ef158e", "8611ce9e7209d91b"]),
    "decimal128": (
        pa.array([decimal.Decimal("1.50"), decimal.Decimal("0.00")]),
        ["61bd1ed54ba4122e", "aab9adfbaf903d56"],
    ),
    "date32": (pa.array([WHEN.date()]), ["2ace94038bacebf7"]),
    "time64": (pa.array([dt.time(1, 2, 3)]), ["73d2a8a3324a5e7a"]),
    "timestamp": (pa.array([WHEN]), ["b78700ad0ffc8f50"]),
    "timestamp with zone": (pa.array([WHEN], pa.timestamp("us", "UTC")), ["3a9382ebd252bb91"]),
    "duration": (pa.array([dt.timedelta(1, 2, 3)]), ["d01a7be829e87215"]),
    "interval": (pa.array([pa.scalar((1, 2, 3), pa.month_day_nano_interval())]), ["bffe98a6ed2162b1"]),
    "list": (pa.array([[1, None], []]), ["c681b750a1243259", "b5fe2d2686eda28a"]),
    "struct": (pa.array([{"a": 1, "b": "x"}, None]), ["85edf7111dbe04fe", "73e42015f9665145"]),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.utf8(), pa.int64())), ["48795247db97b68e"]),
}


class Pair:
    """A partition and a gate over one channel."""

    def __init__(self, *, exclusive: int = 2, floating: int = 0, strategy: str = "FORWARD", **options: Any) -> None:
        self.ring_memory = _core.RingMemory.create(1, 1, 1, 16, 4)
        self.producer = _core.RingMemory.create(1, 1, 0, 16, 4)
        self.arena = _core.Arena.create(1, SEGMENT_BYTES, exclusive + floating)
        self.partition = _core.ResultPartition(
            self.arena,
            [(self.ring_memory, 0, self.ring_memory.doorbell(0))],
            strategy=strategy,
            exclusive=exclusive,
            **options,
        )
        self.gate = _core.InputGate(
            self.ring_memory, [(0, self.arena, self.producer.doorbell(0))], exclusive=exclusive, floating=floating
        )

    def write(self, batch: pa.RecordBatch) -> None:
        assert self.partition.write(batch)
        self.partition.flush()

    def read(self) -> pa.RecordBatch:
        polled = self.gate.poll()
        assert polled is not None
        assert len(polled) == 2
        return polled[1]


def numbers(count: int = 10, first: int = 0) -> pa.RecordBatch:
    return pa.record_batch({"a": range(first, first + count)})


@pytest.mark.parametrize("name", FROZEN)
def test_the_key_hash_is_frozen(name: str) -> None:
    """[U6]"""
    column, expected = FROZEN[name]
    assert [f"{value:016x}" for value in key_hash([column]).to_pylist()] == expected


def test_dictionaries_hash_as_their_values() -> None:
    plain = pa.array(["a", None, "b", "a"])
    assert key_hash([plain.dictionary_encode()]) == key_hash([plain])
    empty = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), pa.array([], pa.utf8()))
    assert key_hash([empty]) == key_hash([pa.nulls(2)])


def test_a_type_that_cannot_be_a_key_is_told() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(TypeMismatchError, match="cannot be a key"):
        key_hash([union])
    with pytest.raises(TypeMismatchError, match="1 and 2 rows"):
        key_hash([pa.array([1]), pa.array([1, 2])])


@pytest.mark.parametrize("count", [0, 32769])
def test_max_parallelism_has_limits(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 32768"):
        _core.key_groups([pa.array([1])], count)
    with pytest.raises(TypeMismatchError, match="max parallelism"):
        Pair(strategy="HASH", max_parallelism=count)


def test_batches_are_views_of_the_segment() -> None:
    pair = Pair()
    pair.write(numbers())
    received = pair.read()
    data = received.column(0).buffers()[1]
    assert data is not None
    assert data.address % 64 == 0
    assert not data.is_mutable
    memory = mmap.mmap(os.dup(pair.arena.fileno()), 0, prot=mmap.PROT_READ)
    assert memory.find(struct.pack("<4q", 0, 1, 2, 3)) >= 0, "the values lie in the arena"
    assert pair.gate.retained_copies == 0


def test_the_last_reference_gives_the_segment_back() -> None:
    pair = Pair(exclusive=3)
    pair.write(numbers())
    received = pair.read()
    column = received.column(0).slice(3)
    del received
    assert not _has_credit(pair, 3)
    del column
    assert _has_credit(pair, 3)


def _has_credit(pair: Pair, count: int) -> bool:
    """Whether `count` segments can be opened; gives them back by taking what they carry."""
    shipped = 0
    for _ in range(count):
        if not pair.partition.write(numbers()):
            break
        pair.partition.flush()
        shipped += 1
    while pair.gate.poll() is not None:
        pass
    pair.partition.resume()
    pair.partition.flush()
    while pair.gate.poll() is not None:
        pass
    return shipped == count


def test_kept_batches_never_take_the_last_credit() -> None:
    """[M13]"""
    pair = Pair(exclusive=3)
    kept = []
    for step in range(10):
        pair.write(numbers(5, step * 5))
        kept.append(pair.read())
    assert pair.gate.retained_copies == 8
    assert [value for batch in kept for value in batch.column(0).to_pylist()] == list(range(50))


def test_the_gate_warns_once_about_kept_batches(caplog: pytest.LogCaptureFixture) -> None:
    """[M13]"""
    ring_memory, producer = _core.RingMemory.create(1, 1, 1, 16, 4), _core.RingMemory.create(1, 1, 0, 16, 4)
    arena = _core.Arena.create(1, SEGMENT_BYTES, 2)
    partition = SharedMemoryResultPartition(arena, [(ring_memory, 0, ring_memory.doorbell(0))], strategy="FORWARD")
    gate = SharedMemoryInputGate(ring_memory, [(0, arena, producer.doorbell(0))], floating=0, name="Map (1/2)")
    kept = []
    with caplog.at_level(logging.WARNING):
        for step in range(6):
            assert partition.write(Batch.of_rows([step]))
            partition.flush()
            kept.append(gate.poll())
    assert gate.retained_copies == 5
    assert len(caplog.records) == 1
    assert "Map (1/2) keeps received batches" in caplog.text
    assert (gate.rows_in, partition.rows_out) == (6, 6)
    assert gate.bytes_in == partition.bytes_out > 0


def test_what_is_taken_before_its_turn_is_no_retention(caplog: pytest.LogCaptureFixture) -> None:
    """A task copies what a checkpoint waits for while a batch before it is still being processed."""
    ring_memory, producer = _core.RingMemory.create(1, 1, 1, 16, 4), _core.RingMemory.create(1, 1, 0, 16, 4)
    arena = _core.Arena.create(1, SEGMENT_BYTES, 2)
    partition = SharedMemoryResultPartition(arena, [(ring_memory, 0, ring_memory.doorbell(0))], strategy="FORWARD")
    gate = SharedMemoryInputGate(ring_memory, [(0, arena, producer.doorbell(0))], floating=0, name="Windows (1/2)")
    rows, processed = [], None
    with caplog.at_level(logging.WARNING):
        for step in range(6):
            assert partition.write(Batch.of_rows([step]))
            partition.flush()
            polled = gate.poll(is_ahead=step > 0)
            assert polled is not None
            processed = processed or polled
            rows += polled[1].rows()
            del polled
    assert rows == [0, 1, 2, 3, 4, 5]
    assert (gate.retained_copies, caplog.text) == (0, "")
    assert gate.rows_in == 6


def test_floating_credits_follow_the_backlog() -> None:
    pair = Pair(exclusive=2, floating=4)
    batch = numbers(SEGMENT_BYTES // 8 * 5)
    assert not pair.partition.write(batch)
    received = []
    for _ in range(20):
        while (polled := pair.gate.poll()) is not None:
            received.append(polled)
        if pair.partition.resume():
            break
    else:
        pytest.fail("floating credits never come")
    pair.partition.flush()
    while (polled := pair.gate.poll()) is not None:
        received.append(polled)
    assert sum(element[1].num_rows for element in received if len(element) == 2) == batch.num_rows


def test_a_sleeping_producer_is_rung_when_credit_returns() -> None:
    pair = Pair(exclusive=1)
    bell = pair.producer.doorbell(0)
    assert not pair.partition.write(numbers(2000))
    token = bell.prepare()
    assert pair.partition.is_blocked
    consumer = threading.Thread(target=lambda: [pair.gate.poll() for _ in range(2)])
    consumer.start()
    assert bell.wait(token, 20_000_000_000)
    consumer.join()
    assert not pair.partition.is_blocked


def test_watermarks_wait_in_one_place_and_others_in_line() -> None:
    pair = Pair()
    for timestamp in range(100):
        assert pair.partition.emit_control(WATERMARK, timestamp)
    assert pair.partition.has_pending, "four control slots are full"
    assert not pair.partition.emit_control(BARRIER, 7)
    assert pair.partition.is_blocked
    with pytest.raises(InternalError, match="before `resume`"):
        pair.partition.write(numbers())
    first = [pair.gate.poll() for _ in range(4)]
    assert first == [(0, WATERMARK, timestamp, 0, 0) for timestamp in range(4)]
    assert not pair.partition.is_blocked
    assert pair.partition.resume()
    assert [pair.gate.poll() for _ in range(3)] == [(0, WATERMARK, 99, 0, 0), (0, BARRIER, 7, 0, 0), None]


WIDE = [f"c{number}" for number in range(64)]  # a segment of 4 KiB has room for four rows of so many


def wide(count: int, first: int = 0) -> pa.RecordBatch:
    columns = [pa.array(range(first + place, first + place + count), pa.int64()) for place in range(len(WIDE))]
    return pa.record_batch(columns, names=WIDE)


def received(pair: Pair) -> tuple[list[pa.RecordBatch], list[Any]]:
    """All batches and control elements that are under way, credit going back and forth."""
    batches, controls = [], []
    for _ in range(10_000):
        while (polled := pair.gate.poll()) is not None:
            if len(polled) == 2:
                batches.append(polled[1])
            else:
                controls.append((sum(batch.num_rows for batch in batches), *polled[1:3]))
        if not pair.partition.has_pending:
            return batches, controls
        pair.partition.resume()
        pair.partition.flush()
    pytest.fail("what is pending never comes")


def test_rows_of_very_many_columns_come_in_batches_that_pay() -> None:
    pair = Pair()
    batch = wide(3000)
    pair.partition.write(batch)
    batches, _ = received(pair)
    assert pa.Table.from_batches(batches).combine_chunks().equals(pa.Table.from_batches([batch]))
    assert [one.num_rows for one in batches[:-1]] == [batches[0].num_rows] * (len(batches) - 1)
    assert batches[0].num_rows > 900, "8 KiB a column"


def test_few_rows_of_very_many_columns_wait_for_more_until_they_are_flushed() -> None:
    pair = Pair()
    for first in range(0, 300, 100):
        assert pair.partition.write(wide(100, first))
    assert pair.gate.poll() is None
    batches, _ = received(pair)
    assert [one.num_rows for one in batches] == [300]
    assert batches[0].column(63).to_pylist() == list(range(63, 363))


def test_an_image_that_lacks_credit_stays_pending_and_control_elements_stay_behind_it() -> None:
    pair = Pair()
    assert pair.partition.write(wide(500))
    pair.partition.flush()
    assert pair.partition.has_pending, "the image takes more segments than there is credit for"
    assert not pair.partition.emit_control(BARRIER, 7)
    assert pair.partition.is_blocked
    batches, controls = received(pair)
    assert [one.num_rows for one in batches] == [500]
    assert controls == [(500, BARRIER, 7)]


def test_wide_and_narrow_batches_keep_their_order() -> None:
    pair = Pair()
    sent = [wide(20), numbers(5), wide(3, 20), numbers(2, 5)]
    batches = []
    for batch in sent:
        while not pair.partition.write(batch):
            batches += received(pair)[0]
        batches += received(pair)[0]
    assert all(one.equals(other) for one, other in zip(batches, sent, strict=True))


def test_targets_are_checked() -> None:
    pair = Pair(strategy="CUSTOM")
    with pytest.raises(TypeMismatchError, match="row 1 to channel 1 of 1"):
        pair.partition.write(numbers(2), pa.array([0, 1], pa.int32()))
    with pytest.raises(TypeMismatchError, match="1 targets for 2 rows"):
        pair.partition.write(numbers(2), pa.array([0], pa.int32()))
    with pytest.raises(ValueError, match="int32"):
        pair.partition.write(numbers(2), pa.array([0, None], pa.int32()))


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(TypeMismatchError, match="unknown partitioner"):
        Pair(strategy="SIDEWAYS")
    with pytest.raises(TypeMismatchError, match="no key column __key among the columns a"):
        Pair(strategy="HASH").partition.write(numbers())
    with pytest.raises(InternalError, match="channel 1 of 1"):
        Pair().gate.block(1)
    with pytest.raises(CorruptChannelError, match="kind 9"):
        element_of_words(9, 0, 0, 0)
    assert element_of_words(1, 5, 0, 0) == Watermark(5)


def test_types_that_cannot_travel_are_told() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(TypeMismatchError, match=r"cannot be sent.*Parquet"):
        Pair().partition.write(pa.record_batch({"a": union}))


def test_canonical_and_typed_key_columns_meet() -> None:
    typed = pa.record_batch({"__key": pa.array([1, 2, None])})
    data = [b"i" + (1).to_bytes(8, "little"), b"i" + (2).to_bytes(8, "little"), None]
    field = pa.field("__key", pa.binary(), metadata={"shmflink.key": "canonical"})
    canonical = pa.record_batch([pa.array(data, pa.binary())], pa.schema([field]))
    assert _owners(typed) == _owners(canonical)


def _owners(batch: pa.RecordBatch) -> list[int]:
    """The channel that each row of a batch goes to, one at a time."""
    ring_memories = [_core.RingMemory.create(1, 1, 1, 16, 4) for _ in range(4)]
    producer, arena = _core.RingMemory.create(1, 1, 0, 16, 4), _core.Arena.create(1, SEGMENT_BYTES, 8)
    partition = _core.ResultPartition(arena, [(r, 0, r.doorbell(0)) for r in ring_memories], strategy="HASH")
    gates = [_core.InputGate(r, [(0, arena, producer.doorbell(0))]) for r in ring_memories]
    where = []
    for row in range(batch.num_rows):
        assert partition.write(batch.slice(row, 1))
        partition.flush()
        where += [channel for channel, gate in enumerate(gates) if gate.poll() is not None]
    return where


def test_nothing_leaks() -> None:
    pair = Pair()
    gc.collect()  # arrays of other tests that are held by cycles
    before = pa.total_allocated_bytes()
    for _ in range(50):
        pair.write(pa.record_batch({"s": ["text"] * 20, "l": [[1, 2]] * 20}))
        assert pair.read().num_rows == 20
    gc.collect()
    assert pa.total_allocated_bytes() == before
    pair.partition.close()
    pair.gate.close()
    assert pair.gate.num_channels == 0
