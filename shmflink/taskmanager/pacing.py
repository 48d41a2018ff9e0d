"""How many rows a task takes at once, based on the cost of its chain's user code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shmflink.metrics.counters import TaskCounters
from shmflink.operators.base import Operator
from shmflink.operators.slices import SLICE_ROWS_MAX, Pace
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.taskmanager.chain import ChainNode
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.source import SourceOperator

__all__ = ["ALL_ROWS", "TaskPace"]

ALL_ROWS: Final = 2**63
_ASSIGNERS: Final = (SourceOperator, TimestampsAndWatermarksOperator)  # of timestamps: batches keep their size
_MIXED_ROWS_MAX: Final = 8192  # if columnar work comes first, because small pieces would slow it down


class TaskPace:
    """Measures the pieces of one task. Chains without user code, and those that pass whole batches to a user's
    function, take batches whole.
    """

    def __init__(self, nodes: Sequence[ChainNode], counters: TaskCounters, *, has_partitioner: bool = False) -> None:
        """`nodes`: upstream first. `has_partitioner`: a function of the user chooses channels."""
        self._nodes = nodes
        self._task = counters if has_partitioner else None
        self._records = [node.context.counters for node in nodes if node.operator.is_per_record]
        self._calls = [node.context.counters for node in nodes if _is_users_sink(node)]
        is_measured = bool(self._records or self._calls or has_partitioner)
        self._pace = Pace(_rows_max(nodes)) if is_measured and not _keeps_batches(nodes) else None
        self._bounded = [node.operator for node in nodes if type(node.operator).room is not Operator.room]
        self._rows = 0
        self._before_ns = (0, 0)

        self.limit = ALL_ROWS
        """The largest number of rows of a piece, independent of their cost; for tests."""
        self.is_taken_for_slow = False
        """A fixed pace, independent of what was measured; for tests."""

    @property
    def rows_max(self) -> int:
        """The largest number of rows of the next piece."""
        if self._pace is None:
            return self.limit
        rows = min(self.limit, self._pace.rows)
        for operator in self._bounded:
            rows = min(rows, operator.room or rows)
        return rows

    @property
    def is_slow(self) -> bool:
        """Whether a barrier had to wait long behind the rows in its channels."""
        if self.is_taken_for_slow or (self._pace is not None and self._pace.is_slow):
            return True
        return any(node.operator.is_slow for node in self._nodes)

    def begins(self, rows: int) -> None:
        """A piece is given to the chain."""
        if self._pace is not None:
            self._rows = rows
            self._before_ns = self._spent_ns()

    def ended(self) -> None:
        """Nothing is left of the piece, if there was one."""
        if self._pace is not None and self._rows:
            records_ns, calls_ns = self._spent_ns()
            self._pace.observe(self._rows, records_ns - self._before_ns[0], calls_ns - self._before_ns[1])
            self._rows = 0

    def _spent_ns(self) -> tuple[int, int]:
        records_ns = calls_ns = 0
        for counters in self._calls:
            calls_ns += counters.busy_ns
        if self._task is not None:
            return self._task.busy_ns - calls_ns, calls_ns
        for counters in self._records:
            records_ns += counters.busy_ns
        return records_ns, calls_ns


def _rows_max(nodes: Sequence[ChainNode]) -> int:
    first = next((node for node in nodes if not isinstance(node.operator, SourceOperator)), nodes[0])
    return SLICE_ROWS_MAX if first.operator.is_per_record else _MIXED_ROWS_MAX


def _keeps_batches(nodes: Sequence[ChainNode]) -> bool:
    """Whether a function that takes batches receives them as they enter the task."""
    operators = (node.operator for node in nodes if not isinstance(node.operator, _ASSIGNERS))
    first = next((operator for operator in operators if operator.is_per_record or operator.keeps_batches), None)
    return first is not None and first.keeps_batches


def _is_users_sink(node: ChainNode) -> bool:
    operator = node.operator
    return isinstance(operator, SinkOperator) and operator.is_users
