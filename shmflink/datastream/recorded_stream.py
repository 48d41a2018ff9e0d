"""The common part of all streams: the recorded node, its type, and the settings of its operator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, Self

from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.operator_settings import OperatorSettings
from shmflink.datastream.reading import S
from shmflink.errors import UsageError

if TYPE_CHECKING:
    from shmflink.config.execution_config import ExecutionConfig
    from shmflink.datastream.environment import Environment
    from shmflink.datastream.recorder import Recorded
    from shmflink.datastream.slot_sharing_group import SlotSharingGroup
    from shmflink.plan.calls import Call
    from shmflink.plan.node import Node

__all__ = ["RecordedStream", "S"]


class RecordedStream(SaysWhatIsMissing, Generic[S]):
    """A stream of elements of one type, and the operator that made it."""

    INTERNAL: ClassVar[frozenset[str]] = frozenset(("declared_type", "environment", "node", "record", "recorded"))
    MISSING: ClassVar[Mapping[str, str]] = {}

    def __init__(self, environment: Environment[S], recorded: Recorded) -> None:
        """Created by an environment or another stream, not by users."""
        self.environment = environment
        self.recorded = recorded

    @property
    def node(self) -> Node:
        """*shmflink only.* The node of the logical plan for this stream, with its current settings."""
        return self.recorded.node

    @property
    def declared_type(self) -> TypeInformation | None:
        """*shmflink only.* The declared type of the elements; None if none was declared."""
        return self.recorded.node.output_type

    def record(self, call: Call, *others: Recorded) -> S:
        """*shmflink only.* Records a call with this stream, and others, as input; returns the resulting stream."""
        return self.environment.stream_of(self.environment.recorder.record(call, self.recorded, *others))

    # --- the operator that made this stream ---

    def get_name(self) -> str:
        """Name of the operator."""
        return self._settings("get_name").name

    def name(self, name: str) -> Self:
        """Name for plans, logs and metrics."""
        self._settings("name").set_name(name)
        return self

    def uid(self, uid: str) -> Self:
        """Id under which a restored job finds the operator's state; unique in the job."""
        self._settings("uid").set_uid(uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> Self:
        """The operator id itself: 32 hexadecimal digits. Prefer `uid`."""
        self._settings("set_uid_hash").set_uid_hash(uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> Self:
        """Number of subtasks; -1 = the environment's."""
        self._settings("set_parallelism").set_parallelism(parallelism)
        return self

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        """Number of key groups, which limits the parallelism for the whole life of the state; 1 to 32768."""
        self._settings("set_max_parallelism").set_max_parallelism(max_parallelism)
        return self

    def force_non_parallel(self) -> Self:
        """Fixes the parallelism at 1: `set_parallelism` with any other value is an error."""
        self._settings("force_non_parallel").force_non_parallel()
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> Self:
        """How long rows may wait for their segment to fill; 0 = ship every batch, -1 = the job's default."""
        self._settings("set_buffer_timeout").set_buffer_timeout(timeout_millis)
        return self

    def start_new_chain(self) -> Self:
        """The operator starts a new task; following operators may be chained to it."""
        self._settings("start_new_chain").start_new_chain()
        return self

    def disable_chaining(self) -> Self:
        """The operator is not chained to any other; it is a separate task."""
        self._settings("disable_chaining").disable_chaining()
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> Self:
        """Operators of one group share slots; those of different groups never do."""
        self._settings("slot_sharing_group").set_slot_sharing_group(slot_sharing_group)
        return self

    def set_description(self, description: str) -> Self:
        """Longer text for plans."""
        self._settings("set_description").set_description(description)
        return self

    def get_type(self) -> TypeInformation:
        """Type of the elements; `Types.PICKLED_BYTE_ARRAY()` if none was declared."""
        return self.declared_type if self.declared_type is not None else Types.PICKLED_BYTE_ARRAY()

    @abstractmethod
    def get_execution_environment(self) -> Environment[S]:
        """The environment this stream belongs to."""

    def get_execution_config(self) -> ExecutionConfig:
        """`get_execution_environment().get_config()`."""
        return self.environment.get_config()

    def _settings(self, method: str) -> OperatorSettings:
        """The operator that produces this stream; partitioned streams and unions have none."""
        if not self.node.call.is_operator:
            raise UsageError(
                f"{method}() must follow an operator, but this stream is the result of {self.node.name}: "
                f"call {method}() before it, or on the operator after it"
            )
        return OperatorSettings(self.recorded, self.environment.get_parallelism)
