"""What a user's function may know of the subtask it runs in (PyFlink's RuntimeContext)."""

from __future__ import annotations

from shmflink.operators.base import OperatorContext
from shmflink.operators.metric_group import MetricGroup

__all__ = ["OperatorRuntimeContext"]


class OperatorRuntimeContext:
    """Handed to `open` of a user's function; has the methods of `shmflink.datastream.RuntimeContext`."""

    __slots__ = ("_context", "_metrics")

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        given = context.metrics
        self._metrics = given if given is not None else MetricGroup((context.task_name, context.operator_name))

    def get_task_name(self) -> str:
        """Name of the task, without the subtask."""
        return self._context.task_name

    def get_number_of_parallel_subtasks(self) -> int:
        """The operator's parallelism."""
        return self._context.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        """The operator's max parallelism."""
        return self._context.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        """0-based."""
        return self._context.subtask_index

    def get_attempt_number(self) -> int:
        """0 at first; one more after each restart."""
        return self._context.attempt

    def get_task_name_with_subtasks(self) -> str:
        """`Map (2/4)`: 1-based, as logs show it."""
        return f"{self._context.task_name} ({self._context.subtask_index + 1}/{self._context.parallelism})"

    def get_job_parameter(self, key: str, default_value: str | None = None) -> str | None:
        """A global job parameter."""
        return self._context.job_parameters.get(key, default_value)

    def get_metrics_group(self) -> MetricGroup:
        """Counters, gauges, meters and distributions of this operator."""
        return self._metrics
