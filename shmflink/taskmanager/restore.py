"""From where the tasks of an attempt resume: each with its share of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from shmflink.checkpoint.in_flight import ChannelRouting, InputRoute, channel_elements
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.reading import load_manifest, restored_state
from shmflink.core.elements import Element
from shmflink.core.keys.groups import range_of
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import StateMismatchError
from shmflink.graph.execution_graph import InputDeployment, TaskDeployment, channel_pairs
from shmflink.taskmanager.task_states import NOT_RESTORED, TaskRestore

__all__ = ["Restore"]


class Restore:
    """Reads a checkpoint's manifest once for all tasks of a TaskManager; files are read as tasks open."""

    def __init__(
        self, directory: str, *, allows_pickle: bool = False, load: Callable[[str], Manifest] = load_manifest
    ) -> None:
        """`directory`: the checkpoint's folder; empty = start without one. `allows_pickle`: also if it belongs
        to another user.
        """
        self._directory = directory
        self._allows_pickle = allows_pickle
        self._load = load

    @cached_property
    def _manifest(self) -> Manifest:
        return self._load(self._directory)

    def directory_of(self, checkpoint_id: int) -> str:
        """The folder, if this checkpoint is being restored; otherwise empty."""
        is_this = bool(self._directory) and self._manifest.checkpoint_id == checkpoint_id
        return self._directory if is_this else ""

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
                self._manifest,
                self._directory,
                op.operator_id,
                subtask,
                parallelism,
                mine,
                groups,
                allows_pickle=self._allows_pickle,
            )
            for op in deployment.operators
        }
        return TaskRestore(states, tuple(self._channels(deployment, mine)))

    def _had_finished(self, deployment: TaskDeployment) -> bool:
        known = [self._manifest.operator(op.operator_id) for op in deployment.operators]
        return all(one is not None and one.subtasks and all(s.is_finished for s in one.subtasks) for one in known)

    def _channels(self, deployment: TaskDeployment, mine: range) -> Iterator[tuple[int, int, Sequence[Element]]]:
        """In-flight elements for the subtasks that this one replaces."""
        routes = {edge.edge: self._route(edge, deployment) for edge in deployment.inputs}
        restored = channel_elements(
            self._manifest,
            self._directory,
            deployment.operators[0].operator_id,
            deployment.subtask.subtask,
            deployment.parallelism,
            mine,
            deployment.max_parallelism,
            routes,
            allows_pickle=self._allows_pickle,
        )
        for channel in restored:
            if channel.edge not in routes:
                raise self._edges_changed(deployment)
            yield channel.edge, channel.producer, channel.elements
        for op in deployment.operators[1:]:
            chained = self._manifest.operator(op.operator_id)
            if chained is not None and any(subtask.channels for subtask in chained.subtasks):
                raise self._edges_changed(deployment)

    def _edges_changed(self, deployment: TaskDeployment) -> StateMismatchError:
        """The edge of in-flight rows no longer exists, for example because another parallelism leads to other
        chains.
        """
        return StateMismatchError(
            f"the checkpoint {self._directory} holds in-flight rows for '{deployment.vertex_name}', on edges "
            "that the job no longer has: start from a savepoint, or with the former parallelism"
        )

    def _route(self, edge: InputDeployment, deployment: TaskDeployment) -> InputRoute:
        match edge.strategy:
            case ShipStrategy.HASH:
                routing = ChannelRouting.KEYED
            case ShipStrategy.BROADCAST:
                routing = ChannelRouting.BROADCAST
            case _:
                routing = ChannelRouting.OTHER
        return InputRoute(routing, edge.key_columns, self._has_other_producers(edge, deployment))

    def _has_other_producers(self, edge: InputDeployment, deployment: TaskDeployment) -> bool:
        """With more producers than before, an old producer's watermark is not valid for a new one, whose rows come from
        several.
        """
        vertex = edge.channels[0].producer.vertex
        former = next((op.parallelism for op in self._manifest.operators if op.vertex == vertex), 0)
        pairs = channel_pairs(edge.strategy, former, deployment.parallelism)
        before = {producer for producer, consumer in pairs if consumer == deployment.subtask.subtask}
        return before != {channel.producer.subtask for channel in edge.channels}
