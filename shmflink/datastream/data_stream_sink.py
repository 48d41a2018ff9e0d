"""The end of a stream (`pyflink.datastream.data_stream.DataStreamSink`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from shmflink.datastream.operator_settings import OperatorSettings

if TYPE_CHECKING:
    from shmflink.datastream.recorder import Recorded
    from shmflink.datastream.slot_sharing_group import SlotSharingGroup

__all__ = ["DataStreamSink"]


class DataStreamSink:
    """The sink at the end of a stream; returned by `sink_to` and `print`."""

    def __init__(self, recorded: Recorded, default_parallelism: Callable[[], int]) -> None:
        """Created by a stream, not by users."""
        self._settings = OperatorSettings(recorded, default_parallelism)

    def name(self, name: str) -> Self:
        """Name for plans, logs and metrics."""
        self._settings.set_name(name)
        return self

    def uid(self, uid: str) -> Self:
        """Id under which a restored job finds the sink's state; unique in the job."""
        self._settings.set_uid(uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> Self:
        """The operator id itself: 32 hexadecimal digits. Prefer `uid`."""
        self._settings.set_uid_hash(uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> Self:
        """Number of subtasks; -1 = the environment's."""
        self._settings.set_parallelism(parallelism)
        return self

    def set_description(self, description: str) -> Self:
        """Longer text for plans."""
        self._settings.set_description(description)
        return self

    def disable_chaining(self) -> Self:
        """The sink is not chained to any other operator; it is a separate task."""
        self._settings.disable_chaining()
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> Self:
        """Operators of one group share slots; those of different groups never do."""
        self._settings.set_slot_sharing_group(slot_sharing_group)
        return self
