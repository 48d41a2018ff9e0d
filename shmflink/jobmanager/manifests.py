"""Turns the acknowledgments of tasks into the operators of a checkpoint's manifest."""

from __future__ import annotations

from collections.abc import Mapping

from shmflink.checkpoint.events import Store
from shmflink.checkpoint.handles import CheckpointLocation, OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import OperatorState
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.core.ids import SubtaskId
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex

__all__ = ["operators_of"]


def operators_of(
    graph: JobGraph, store: Store, enumerators: Mapping[int, bytes], location: CheckpointLocation, epoch: int
) -> tuple[OperatorState, ...]:
    """All operators of the job. Writes the enumerators' states: small ones go into the manifest.

    Raises:
        CheckpointError: the system reports an error.
    """
    writer = StateFileWriter(location, epoch, store.checkpoint_id)
    by_operator = {(subtask, state.operator_id): state for subtask, states in store.states.items() for state in states}
    operators = []
    for vertex in graph.vertices:
        for number, op in enumerate(vertex.operators):
            coordinator: StateFile | None = None
            if number == 0 and vertex.index in enumerators:
                coordinator = writer.write_value(op.operator_id, 0, "coordinator", enumerators[vertex.index])
            subtasks = tuple(_subtask(vertex, op, i, by_operator, store) for i in range(vertex.parallelism))
            operators.append(
                OperatorState(
                    op.operator_id,
                    op.uid,
                    op.name,
                    vertex.index,
                    vertex.parallelism,
                    vertex.max_parallelism,
                    subtasks,
                    coordinator,
                    op.connector,
                )
            )
    writer.sync_folders()
    return tuple(operators)


def _subtask(
    vertex: JobVertex,
    op: ChainedOperator,
    number: int,
    by_operator: Mapping[tuple[SubtaskId, str], OperatorSubtaskState],
    store: Store,
) -> OperatorSubtaskState:
    subtask = SubtaskId(vertex.index, number)
    acknowledged = by_operator.get((subtask, op.operator_id))
    if acknowledged is not None:
        return acknowledged
    return OperatorSubtaskState(op.operator_id, number, is_finished=subtask in store.finished)
