"""The queues of asynchronous calls against a naive model, for any order in which calls end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shmflink.core.elements import Watermark
from shmflink.operators.asynchronous.queue import Entry, OrderedQueue, UnorderedQueue

Steps = st.lists(st.one_of(st.just("input"), st.just("watermark"), st.integers(0, 30)), max_size=60)


def run(queue: Any, steps: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """(everything added, the order of completion, what has left). An integer completes one of the open inputs."""
    added: list[Any] = []
    open_ones: list[Entry] = []
    ended: list[Any] = []
    left: list[Any] = []
    for step in [*steps, *[0] * len(steps)]:
        if step == "input":
            entry = Entry(len(added), 0)
            added.append(entry.value)
            open_ones.append(entry)
            queue.add(entry)
        elif step == "watermark":
            watermark = Watermark(len(added))
            added.append(watermark)
            queue.add_control(watermark)
        elif open_ones:
            entry = open_ones.pop(step % len(open_ones))
            ended.append(entry.value)
            queue.complete(entry)
        inputs = [value for value in added if not isinstance(value, Watermark)]
        left += [taken.value if isinstance(taken, Entry) else taken for taken in queue.take()]
        assert [entry.value for entry in queue.inputs()] == [value for value in inputs if value not in left]
        assert len(queue) == len([value for value in inputs if value not in left])
    return added, ended, left


@given(Steps)
def test_an_ordered_queue_gives_what_came_in_as_it_came(steps: list[Any]) -> None:
    added, _, left = run(OrderedQueue(), steps)
    assert left == added


@given(Steps)
def test_an_unordered_queue_gives_each_result_between_its_watermarks_in_order_of_completion(steps: list[Any]) -> None:
    added, _, left = run(UnorderedQueue(), steps)
    assert segments(left, sort=True) == segments(added, sort=True)


@given(Steps.map(lambda steps: [step for step in steps if step != "watermark"]))
def test_without_watermarks_results_leave_as_calls_end(steps: list[Any]) -> None:
    _, ended, left = run(UnorderedQueue(), steps)
    assert left == ended


def segments(elements: list[Any], *, sort: bool) -> list[Any]:
    """Between two watermarks each."""
    found: list[Any] = [[]]
    for element in elements:
        if isinstance(element, Watermark):
            found += [element, []]
        else:
            found[-1].append(element)
    return [sorted(part) if sort and isinstance(part, list) else part for part in found]
