"""The in-process channels."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, EndOfData, Watermark
from shmflink.core.keys.columns import encode_keys
from shmflink.errors import InternalError, UsageError
from shmflink.network.local import (
    BroadcastSelector,
    ChannelSelector,
    CustomSelector,
    KeyGroupSelector,
    LocalChannel,
    LocalDoorbell,
    LocalInputGate,
    LocalResultPartition,
    RoundRobinSelector,
    ShuffleSelector,
    SingleSelector,
)


def _edge(
    selector: ChannelSelector,
    count: int,
    credits: int = 2,  # noqa: A002 - the field's word
) -> tuple[LocalResultPartition, list[LocalChannel]]:
    channels = [LocalChannel(credits) for _ in range(count)]
    return LocalResultPartition(channels, selector), channels


def _rows(channel: LocalChannel) -> list[Any]:
    return [row for element in channel.queue if isinstance(element, Batch) for row in element.rows()]


def test_a_single_channel_gets_the_batch_by_reference() -> None:
    partition, (channel,) = _edge(SingleSelector(), 1)
    batch = Batch.of_rows([1, 2])
    assert partition.write(batch)
    assert LocalInputGate([channel]).poll() == (0, batch)


def test_write_without_credit_suspends_there_and_resumes_in_order() -> None:
    partition, (channel,) = _edge(SingleSelector(), 1, credits=1)
    gate = LocalInputGate([channel])
    assert partition.write(Batch.of_rows([1]))
    assert not partition.write(Batch.of_rows([2]))
    assert partition.is_blocked
    assert not partition.resume()
    assert gate.poll() is not None
    assert not partition.is_blocked
    assert partition.resume()
    assert _rows(channel) == [2]


def test_one_channel_without_credit_does_not_hold_up_the_others() -> None:
    partition, channels = _edge(RoundRobinSelector(), 2, credits=1)
    assert partition.write(Batch.of_rows([0]))
    assert not partition.write(Batch.of_rows([1, 2]))  # row 1 to channel 1, row 2 to channel 0, which is full
    assert [_rows(channel) for channel in channels] == [[0], [1]]
    channels[0].pop()
    assert partition.resume()
    assert _rows(channels[0]) == [2]


def test_control_elements_need_no_credit_and_keep_their_order() -> None:
    partition, (channel,) = _edge(SingleSelector(), 1, credits=1)
    partition.write(Batch.of_rows([1]))
    for element in (Watermark(1), Watermark(2), Barrier(1, 0), Watermark(3), EndOfData()):
        assert partition.emit(element)
    gate = LocalInputGate([channel])
    taken = [gate.poll() for _ in range(5)]
    assert [element for _, element in taken[1:]] == [Watermark(2), Barrier(1, 0), Watermark(3), EndOfData()]  # type: ignore[misc]


def test_a_gate_polls_its_channels_in_turn_and_leaves_out_blocked_ones() -> None:
    channels = [LocalChannel() for _ in range(3)]
    for number, channel in enumerate(channels):
        for _ in range(2):
            channel.try_push(Batch.of_rows([number]))
    gate = LocalInputGate(channels)
    gate.block(1)
    order = [taken[0] for taken in iter(gate.poll, None)]
    assert order == [0, 2, 0, 2]
    assert not gate.is_available
    gate.unblock(1)
    assert gate.is_available
    gate.close()
    assert gate.poll() is None


@pytest.mark.parametrize("is_columnar", [False, True])
def test_rows_in_turn_keep_timestamps_and_keys(is_columnar: bool) -> None:
    partition, channels = _edge(RoundRobinSelector(start=1), 2)
    keys, timestamps = encode_keys(["a", "b", "c"]), pa.array([1, 2, 3])
    if is_columnar:
        columns = pa.RecordBatch.from_pydict({"x": [10, 20, 30]})
        batch = Batch.of_columns(columns, timestamps=timestamps, keys=keys)
    else:
        batch = Batch.of_rows([10, 20, 30], timestamps=timestamps, keys=keys)
    assert partition.write(batch)
    second = channels[1].pop()
    assert isinstance(second, Batch)
    assert [row[0] if is_columnar else row for row in second.rows()] == [10, 30]
    assert second.timestamps.to_pylist() == [1, 3]
    assert second.keys.to_pylist() == ["a", "c"]
    assert partition.write(Batch.of_rows([40]))  # goes on where the last batch ended
    assert _rows(channels[0])[-1] == 40


def test_broadcast_gives_the_batch_to_everybody() -> None:
    partition, channels = _edge(BroadcastSelector(), 3)
    assert partition.write(Batch.of_rows([1]))
    assert [_rows(channel) for channel in channels] == [[1], [1], [1]]


def test_broadcast_rows_are_values_of_each_channel_unless_objects_are_reused() -> None:
    channels = [LocalChannel() for _ in range(2)]
    for reuses_objects, expected in ((False, [1]), (True, [1, 2])):
        partition = LocalResultPartition(channels, BroadcastSelector(), reuses_objects=reuses_objects)
        assert partition.write(Batch.of_rows([[1]]))
        first, second = [channel.pop() for channel in channels]
        assert isinstance(first, Batch)
        assert isinstance(second, Batch)
        first.rows()[0].append(2)
        assert second.rows() == [expected]


def test_shuffle_is_reproducible_and_loses_nothing() -> None:
    taken = []
    for _ in range(2):
        partition, channels = _edge(ShuffleSelector(seed=3), 4)
        partition.write(Batch.of_rows(list(range(1000))))
        taken.append([_rows(channel) for channel in channels])
    assert taken[0] == taken[1]
    assert sorted(row for rows in taken[0] for row in rows) == list(range(1000))
    assert all(len(rows) > 150 for rows in taken[0])


def test_keys_go_to_the_owner_of_their_key_group() -> None:
    def assign(keys: Sequence[pa.Array], max_parallelism: int, count: int) -> Any:
        return sum(np.asarray(column.to_pylist()) for column in keys) % max_parallelism * count // max_parallelism

    partition, channels = _edge(KeyGroupSelector(assign, 4), 2)
    partition.write(Batch.of_rows(list("abcde"), keys=encode_keys([0, 1, 2, 3, 4])))
    assert [_rows(channel) for channel in channels] == [["a", "b", "e"], ["c", "d"]]
    with pytest.raises(InternalError, match="without keys"):
        partition.write(Batch.of_rows([1]))

    partition, channels = _edge(KeyGroupSelector(assign, 4, ["f0", "f1"]), 2)
    partition.write(Batch.of_rows([(0, 0, "a"), (0, 1, "b"), (1, 1, "c"), (3, 0, "d"), (3, 1, "e")]))
    rows = [[row[2] for row in _rows(channel)] for channel in channels]
    assert rows == [["a", "b", "e"], ["c", "d"]]


def test_a_custom_partitioner_gets_the_users_key_and_must_answer_with_an_index() -> None:
    partition, channels = _edge(CustomSelector(lambda key, count: len(key) % count), 2)
    partition.write(Batch.of_rows([1, 2, 3], keys=encode_keys(["a", "bb", "ccc"])))
    assert [_rows(channel) for channel in channels] == [[2], [1, 3]]
    for wrong in (2, -1, None):
        partition, _ = _edge(CustomSelector(lambda *_, wrong=wrong: wrong), 2)
        with pytest.raises(UsageError, match=r"returned .* for the key 'k'.*from 0 to 1"):
            partition.write(Batch.of_rows([1], keys=encode_keys(["k"])))


def test_an_empty_batch_is_nothing() -> None:
    partition, (channel,) = _edge(SingleSelector(), 1, credits=1)
    assert partition.write(Batch.of_rows([]))
    assert not channel.queue


def test_a_ring_after_prepare_is_never_lost() -> None:
    doorbell = LocalDoorbell()
    token = doorbell.prepare()
    doorbell.ring()
    assert doorbell.wait(token, -1)
    assert not doorbell.wait(doorbell.prepare(), 0)


def test_a_sleeper_is_woken_from_another_thread() -> None:
    doorbell = LocalDoorbell()
    token = doorbell.prepare()
    threading.Thread(target=doorbell.ring).start()
    assert doorbell.wait(token, -1)
