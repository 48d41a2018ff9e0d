"""Checkpoint hooks of operators with a user's function: Flink's CheckpointedFunction and CheckpointListener.

A function may have `initialize_state(context)`, called before `open`, and `snapshot_state(context)`, called at each
barrier; list states of the subtask come from the former's operator state store.
`notify_checkpoint_complete(checkpoint_id)` and `notify_checkpoint_aborted(checkpoint_id)` tell it how checkpoints end.
PyFlink has none of these.
"""

from __future__ import annotations

from shmflink.core.elements import Barrier
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.functions.user_function import UserFunction
from shmflink.state.factory import state_backends
from shmflink.state.namespaces import PICKLED_NAMESPACES, NamespaceForm
from shmflink.state.protocol import KeyedStateBackend
from shmflink.state.snapshots import OperatorSnapshot

__all__ = ["FunctionOperator", "is_incremental", "restored_backend"]

_INCREMENTAL = "execution.checkpointing.incremental"


class FunctionOperator(Operator):
    """An operator with one user function, which it opens."""

    is_per_record = True

    _function: UserFunction

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        return OperatorSnapshot(operator_state=self._function.snapshot(barrier))

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self._function.notify("notify_checkpoint_complete", checkpoint_id)

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        self._function.notify("notify_checkpoint_aborted", checkpoint_id)

    def close(self) -> None:
        self._function.close()


def is_incremental(context: OperatorContext) -> bool:
    """Whether checkpoints hold only changes where possible."""
    return context.configuration.get(_INCREMENTAL, "true").lower() == "true"


def restored_backend(context: OperatorContext, namespaces: NamespaceForm = PICKLED_NAMESPACES) -> KeyedStateBackend:
    """The keyed state of an operator, with the restored entries.

    Raises:
        StateMismatchError: a value cannot be unpickled.
    """
    backend = state_backends(context.configuration).keyed_backend(
        context.max_parallelism,
        context.clock,
        namespaces=namespaces,
        is_incremental=is_incremental(context),
        operator=context.operator_name,
    )
    backend.restore(context.restored)
    return backend
