"""The feeds of tasks that were restored as finished: nothing is processed, only the end is passed on."""

from __future__ import annotations

from shmflink.core.elements import MAX_WATERMARK, EndOfData
from shmflink.taskmanager.feed import Feed, Outputs, TaskParts
from shmflink.taskmanager.inputs import TaskInputs

__all__ = ["FinishedGateFeed", "FinishedSourceFeed"]


class _FinishedFeed(Feed):
    """Its operators are not open, and committed everything before the task finished."""

    def __init__(self, parts: TaskParts) -> None:
        super().__init__(parts)
        self._committing = []

    def last_outputs(self, *, is_drained: bool) -> Outputs:
        """Event time is at its end."""
        for index in range(self._parts.outputs_count):
            yield index, MAX_WATERMARK


class FinishedSourceFeed(_FinishedFeed):
    """Of a source: its end comes at once."""

    @property
    def has_input(self) -> bool:
        return True

    def next(self) -> Outputs:
        return self.finish(is_drained=self._parts.end.is_drained)


class FinishedGateFeed(_FinishedFeed):
    """Of a task with inputs: of all elements that arrive, only the ends of channels count."""

    def __init__(self, parts: TaskParts, inputs: TaskInputs) -> None:
        super().__init__(parts)
        self._inputs = inputs

    @property
    def has_input(self) -> bool:
        return self._inputs.is_available

    def next(self) -> Outputs | None:
        taken = self._inputs.poll()
        if taken is None:
            return None
        _, channel, element = taken
        if not isinstance(element, EndOfData):
            return None
        self._parts.end.input_ended(drained=element.drained)
        self._inputs.end_of_data(channel)
        return self.finish(is_drained=self._parts.end.is_drained) if self._inputs.has_ended else None

    def close(self) -> None:
        self._inputs.close()
