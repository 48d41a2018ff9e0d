"""The end of a stream (`pyflink.datastream.data_stream.DataStreamSink`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.datastream.recording import RecordedOperator
from shmflink.datastream.slot_sharing_group import SlotSharingGroup
from shmflink.planner.transformations import SinkTransformation

if TYPE_CHECKING:
    from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["DataStreamSink"]


class DataStreamSink:
    """The end of a stream; returned by `sink_to` and `print`."""

    def __init__(self, transformation: SinkTransformation, environment: StreamExecutionEnvironment) -> None:
        """Made by a stream, not by users."""
        self._recorded = RecordedOperator(transformation, environment.get_parallelism)

    def name(self, name: str) -> DataStreamSink:
        """Name for plans, logs and metrics."""
        self._recorded.set_name(name)
        return self

    def uid(self, uid: str) -> DataStreamSink:
        """Id by which the sink's state is found when the job starts again; unique in the job."""
        self._recorded.set_uid(uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> DataStreamSink:
        """The operator id itself: 32 hexadecimal digits. Prefer `uid`."""
        self._recorded.set_uid_hash(uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> DataStreamSink:
        """Number of subtasks; -1 = the environment's."""
        self._recorded.set_parallelism(parallelism)
        return self

    def set_description(self, description: str) -> DataStreamSink:
        """Longer text for plans."""
        self._recorded.set_description(description)
        return self

    def disable_chaining(self) -> DataStreamSink:
        """The sink is a task of its own."""
        self._recorded.disable_chaining()
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> DataStreamSink:
        """Operators of one group share slots; those of different groups never do."""
        self._recorded.set_slot_sharing_group(slot_sharing_group)
        return self
