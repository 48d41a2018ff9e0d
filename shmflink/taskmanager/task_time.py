"""What a task's time goes into, and when its counters reach the status page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shmflink.metrics.counters import TaskCounters
from shmflink.taskmanager.chain import ChainNode
from shmflink.taskmanager.feed import Feed
from shmflink.taskmanager.outputs import TaskOutputs

__all__ = ["PUBLISH_INTERVAL_NS", "TaskTime"]

PUBLISH_INTERVAL_NS: Final = 50_000_000  # counters are stored to the status page at least this often


class TaskTime:
    """Books busy, idle and back-pressured time; publishes the counters of a task and of its operators."""

    def __init__(self, counters: TaskCounters, nodes: Sequence[ChainNode], feed: Feed, outputs: TaskOutputs) -> None:
        self._counters = counters
        self._nodes = nodes
        self._feed = feed
        self._outputs = outputs
        self._waiting_since_ns = -1
        self._is_backpressured = False
        self._published_ns = -1

    def begins(self, now_ns: int) -> None:
        """The task runs from now on; it waits for its first quantum."""
        self._waiting_since_ns = now_ns

    def waited(self, now_ns: int) -> None:
        """Books the time since the last quantum; time in which only the slot was missing counts as idle."""
        waited_ns = now_ns - self._waiting_since_ns
        self._waiting_since_ns = now_ns
        if self._is_backpressured:
            self._counters.backpressured_ns += waited_ns
        else:
            self._counters.idle_ns += waited_ns

    def worked(self, start_ns: int, end_ns: int, *, is_backpressured: bool) -> None:
        """Books a quantum; `is_backpressured`: what the task waits for now."""
        self._counters.busy_ns += end_ns - start_ns
        self._waiting_since_ns = end_ns
        self._is_backpressured = is_backpressured
        if end_ns - self._published_ns >= PUBLISH_INTERVAL_NS:
            self.publish(end_ns)

    def publish(self, now_ns: int) -> None:
        """Stores all counters to the status page."""
        self._published_ns = now_ns
        counters = self._counters
        counters.bytes_out = self._outputs.bytes_out
        self._feed.count(counters)
        counters.publish()
        for node in self._nodes:
            node.context.counters.publish()
