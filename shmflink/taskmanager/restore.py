"""What the tasks of an attempt go on from: each its share of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pyarrow as pa

from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.reading import load_manifest, read_file, restored_state
from shmflink.checkpoint.state_files import loads_elements
from shmflink.core.batch import Batch
from shmflink.core.elements import Element
from shmflink.core.key_groups import key_groups, range_of
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
        """What was under way to the subtasks whose place this one takes.

        With another parallelism rows of keyed edges go to the owner of their key, those of other edges to the subtask
        with the same number, round and round; event time is made anew by those who send.
        """
        operator = self._manifest.operator(deployment.operators[0].operator_id)
        if operator is None:
            return
        edges = {edge.edge: edge for edge in deployment.inputs}
        number, parallelism = deployment.subtask.subtask, deployment.parallelism
        is_rescaled = operator.parallelism != parallelism
        for former in operator.subtasks:
            for channel in former.channels:
                edge = edges.get(channel.edge)
                if edge is None:
                    continue
                is_keyed = is_rescaled and edge.strategy is ShipStrategy.HASH
                if not is_keyed and former.subtask % parallelism != number:
                    continue
                elements = loads_elements(memoryview(read_file(self._directory, channel.file)))
                if is_rescaled:
                    batches = [element for element in elements if isinstance(element, Batch)]
                    elements = list(_owned(batches, edge, deployment, mine)) if is_keyed else list(batches)
                yield channel.edge, channel.producer, elements


def _owned(
    batches: Sequence[Batch], edge: InputDeployment, deployment: TaskDeployment, mine: range
) -> Iterator[Element]:
    """The rows whose keys belong to this subtask."""
    for batch in batches:
        keys = [batch.columns().column(name) for name in edge.key_columns] if edge.key_columns else batch.keys
        assert keys is not None, "a batch of a keyed edge without keys"
        groups = key_groups(keys, deployment.max_parallelism)
        mask = pa.array((groups >= mine.start) & (groups < mine.stop))
        kept = batch.filter(mask)
        if kept.num_rows:
            yield kept if batch.keys is None else kept.with_keys(batch.keys.filter(mask))
