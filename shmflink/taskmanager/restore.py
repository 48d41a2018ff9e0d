"""What the tasks of an attempt go on from: each its share of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from shmflink.checkpoint.in_flight import InputRoute, Routing, channel_elements
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.reading import load_manifest, restored_state
from shmflink.core.elements import Element
from shmflink.core.key_groups import range_of
from shmflink.graph.execution_graph import InputDeployment, TaskDeployment
from shmflink.graph.job_graph import ShipStrategy
from shmflink.taskmanager.checkpoints import NOT_RESTORED, TaskRestore

__all__ = ["Restore"]


class Restore:
    """Reads a checkpoint's manifest once for all tasks of a TaskManager; files are read as tasks open."""

    def __init__(self, directory: str) -> None:
        """`directory`: the checkpoint's folder; empty = from nothing."""
        self._directory = directory

    @cached_property
    def _manifest(self) -> Manifest:
        return load_manifest(self._directory)

    def of(self, deployment: TaskDeployment) -> TaskRestore:
        """One task's share.

        Raises:
            CheckpointCorruptedError, StateMismatchError: as `checkpoint.reading` says.
        """
        if not self._directory:
            return NOT_RESTORED
        if self._had_finished(deployment):
            return TaskRestore(is_finished=True)
        subtask, parallelism, groups = deployment.subtask.subtask, deployment.parallelism, deployment.max_parallelism
        mine = range_of(subtask, groups, parallelism)
        states = {
            op.operator_id: restored_state(
                self._manifest, self._directory, op.operator_id, subtask, parallelism, mine, groups
            )
            for op in deployment.operators
        }
        return TaskRestore(states, tuple(self._channels(deployment, mine)))

    def _had_finished(self, deployment: TaskDeployment) -> bool:
        known = [self._manifest.operator(op.operator_id) for op in deployment.operators]
        return all(one is not None and one.subtasks and all(s.is_finished for s in one.subtasks) for one in known)

    def _channels(self, deployment: TaskDeployment, mine: range) -> Iterator[tuple[int, int, Sequence[Element]]]:
        """What was under way to the subtasks whose place this one takes."""
        routes = {edge.edge: _route(edge) for edge in deployment.inputs}
        restored = channel_elements(
            self._manifest,
            self._directory,
            deployment.operators[0].operator_id,
            deployment.subtask.subtask,
            deployment.parallelism,
            mine,
            deployment.max_parallelism,
            routes,
        )
        for channel in restored:
            if channel.edge in routes:
                yield channel.edge, channel.producer, channel.elements


def _route(edge: InputDeployment) -> InputRoute:
    match edge.strategy:
        case ShipStrategy.HASH:
            return InputRoute(Routing.KEYED, edge.key_columns)
        case ShipStrategy.BROADCAST:
            return InputRoute(Routing.BROADCAST)
        case _:
            return InputRoute(Routing.OTHER)
