from __future__ import annotations

import pytest

from shmflink.connectors.base import Split
from shmflink.connectors.split_queue import SplitQueue, even_ranges
from shmflink.core.serialization.codec import dumps_value, loads_value

SPLITS = [Split(str(number), number) for number in range(3)]


def test_splits_go_out_in_order_to_whoever_asks() -> None:
    queue = SplitQueue(SPLITS)
    assert [queue.next_split(1), queue.next_split(0), queue.next_split(1)] == SPLITS
    assert queue.next_split(0) is None
    assert queue.is_exhausted


def test_splits_of_a_failed_reader_come_first_again() -> None:
    queue = SplitQueue(SPLITS)
    taken = [queue.next_split(0), queue.next_split(0)]
    queue.add_splits_back([split for split in taken if split])
    assert list(queue.snapshot()) == SPLITS
    assert not queue.is_exhausted


def test_a_snapshot_of_many_is_pickled_once() -> None:
    """What does not change between two checkpoints is not looked at again."""
    queue = SplitQueue(Split(str(number), number, 1) for number in range(5000))
    first = queue.snapshot()
    taken = [queue.next_split(0) for _ in range(1500)]
    second = queue.snapshot()
    assert [split.payload for split in second] == list(range(1500, 5000))
    assert (len(first), len(second)) == (5000, 3500)
    assert all(one is other for one, other in zip(first.blocks[2:], second.blocks, strict=True))
    assert second.blocks
    queue.add_splits_back([split for split in taken[1000:] if split is not None])
    again = SplitQueue(loads_value(dumps_value(queue.snapshot())))
    assert again.progress == (1000, 5000)
    assert [again.next_split(0) for _ in range(4000)] == [Split(str(number), number, 1) for number in range(1000, 5000)]
    assert again.is_exhausted


@pytest.mark.parametrize(
    ("start", "stop", "parts", "expected"),
    [
        (0, 10, 3, [(0, 4), (4, 7), (7, 10)]),
        (5, 7, 4, [(5, 6), (6, 7)]),
        (0, 0, 2, []),
        (-(2**63), 2**63, 2, [(-(2**63), 0), (0, 2**63)]),
    ],
)
def test_even_ranges(start: int, stop: int, parts: int, expected: list[tuple[int, int]]) -> None:
    assert even_ranges(start, stop, parts) == expected
