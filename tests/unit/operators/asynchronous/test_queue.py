"""Stories of the queues of asynchronous calls: what is emitted, and when."""

from __future__ import annotations

from typing import Any

import pytest

from shmflink.core.elements import Watermark
from shmflink.operators.asynchronous.queue import Entry, OrderedQueue, ResultQueue, UnorderedQueue


def entries(queue: ResultQueue, *values: Any) -> list[Entry]:
    """Adds inputs, with watermarks among them."""
    added = []
    for value in values:
        if isinstance(value, Watermark):
            queue.add_control(value)
        else:
            added.append(Entry(value, 0))
            queue.add(added[-1])
    return added


def taken(queue: ResultQueue) -> list[Any]:
    return [element.value if isinstance(element, Entry) else element for element in queue.take()]


def test_results_leave_in_the_order_of_their_inputs() -> None:
    queue = OrderedQueue()
    one, two, three = entries(queue, 1, 2, 3)
    queue.complete(three)
    assert not queue.has_ready
    queue.complete(one)
    assert taken(queue) == [1]
    queue.complete(two)
    assert taken(queue) == [2, 3]
    assert len(queue) == 0


def test_results_leave_in_the_order_in_which_calls_end() -> None:
    queue = UnorderedQueue()
    one, two, three = entries(queue, 1, 2, 3)
    queue.complete(three)
    queue.complete(one)
    assert taken(queue) == [3, 1]
    assert [entry.value for entry in queue.inputs()] == [2]
    queue.complete(two)
    assert taken(queue) == [2]


def test_no_result_crosses_a_watermark() -> None:
    queue = UnorderedQueue()
    one, two, three = entries(queue, 1, 2, Watermark(10), 3)
    queue.complete(three)
    assert taken(queue) == []
    queue.complete(two)
    assert taken(queue) == [2]
    queue.complete(one)
    assert taken(queue) == [1, Watermark(10), 3]


@pytest.mark.parametrize("queue", [OrderedQueue(), UnorderedQueue()])
def test_a_watermark_without_inputs_before_it_leaves_at_once(queue: ResultQueue) -> None:
    entries(queue, Watermark(1), Watermark(2))
    assert queue.has_ready
    assert taken(queue) == [Watermark(1), Watermark(2)]
    assert not queue.has_ready


@pytest.mark.parametrize("queue", [OrderedQueue(), UnorderedQueue()])
def test_inputs_stay_until_their_results_have_left(queue: ResultQueue) -> None:
    one, two = entries(queue, 1, 2)
    queue.complete(two)
    queue.complete(one)
    assert [entry.value for entry in queue.inputs()] == [1, 2]
    assert sorted(taken(queue)) == [1, 2]
    assert list(queue.inputs()) == []
