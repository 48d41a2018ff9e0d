"""Reads savepoints and checkpoints (`org.apache.flink.state.api.SavepointReader`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shmflink.checkpoint.keyed_tables import KeyedStateInfo, keyed_state_infos, keyed_table, readable
from shmflink.checkpoint.manifest import Manifest, OperatorState
from shmflink.checkpoint.reading import StateReader, checkpoint_directory, load_manifest
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import UsageError
from shmflink.state_processor.operator_identifier import OperatorIdentifier, found_in

__all__ = ["OperatorInfo", "SavepointReader"]


@dataclass(frozen=True, slots=True)
class OperatorInfo:
    """One operator of a savepoint."""

    identifier: OperatorIdentifier
    name: str
    parallelism: int
    max_parallelism: int
    keyed_states: tuple[KeyedStateInfo, ...]


class SavepointReader:
    """A savepoint or checkpoint, opened. Every file is checked before anything is given out of it.

    Broadcast and list state with a user's own objects are pickled, and so is keyed state without a declared type:
    reading those runs code of the savepoint's author. If that is another user, it must be requested explicitly.
    """

    def __init__(self, directory: str, manifest: Manifest, *, trusts_pickle: bool = False) -> None:
        """Use `read`."""
        self._directory = directory
        self._manifest = manifest
        self._trusts_pickle = trusts_pickle

    @staticmethod
    def read(path: str, *, trusts_pickle: bool = False) -> SavepointReader:
        """Opens a folder with `_metadata`. `trusts_pickle`: pickled state is loaded also where another user wrote it.

        Raises:
            CheckpointError: there is none, it is damaged, or others may write to it.
        """
        directory = checkpoint_directory(path)
        return SavepointReader(directory, load_manifest(directory), trusts_pickle=trusts_pickle)

    def operators(self) -> Sequence[OperatorInfo]:
        """*shmflink only.* What there is to read."""
        return tuple(
            OperatorInfo(
                OperatorIdentifier(op.operator_id, op.uid),
                op.name,
                op.parallelism,
                op.max_parallelism,
                tuple(keyed_state_infos(self._directory, op)),
            )
            for op in self._manifest.operators
        )

    def read_keyed_state(self, operator: OperatorIdentifier | str, state: str, *, unpickle: bool = False) -> pa.Table:
        """The entries of a keyed state: `key`, `value`, and `namespace`, `timestamp` or `ttl` where it has them.

        A text is the operator's uid. `unpickle` turns pickled values into columns, or into text where they fit none.

        Raises:
            UsageError: there is no such operator.
            CheckpointError: it has no such state, or a file is damaged.
        """
        found = found_in(self._manifest, operator)
        return readable(keyed_table(self._directory, found, state), unpickle=unpickle)

    def read_list_state(self, operator: OperatorIdentifier | str, state: str) -> list[Any]:
        """The elements of a list state without key, of all subtasks."""
        found = found_in(self._manifest, operator)
        parts = self._reader(found).operator_state(0, 1)
        if state not in parts:
            raise UsageError(
                f"operator '{found.name}' has no list state '{state}'; it has: {', '.join(parts) or 'none'}"
            )
        return list(parts[state].elements)

    def read_union_state(self, operator: OperatorIdentifier | str, state: str) -> list[Any]:
        """The same for a union list state."""
        return self.read_list_state(operator, state)

    def read_broadcast_state(self, operator: OperatorIdentifier | str, state: str) -> dict[Any, Any]:
        """A broadcast state; every subtask has the same."""
        found = found_in(self._manifest, operator)
        states = self._reader(found).broadcast_state(0)
        if state not in states:
            known = ", ".join(states) or "none"
            raise UsageError(f"operator '{found.name}' has no broadcast state '{state}'; it has: {known}")
        return dict(states[state])

    def _reader(self, operator: OperatorState) -> StateReader:
        return StateReader(self._directory, operator, allows_pickle=self._trusts_pickle)
