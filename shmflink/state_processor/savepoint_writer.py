"""Writes savepoints: new ones, and changed copies of others (`org.apache.flink.state.api.SavepointWriter`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

import pyarrow as pa

from shmflink.checkpoint.handles import CheckpointLocation, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import SAVEPOINT, Manifest, OperatorState
from shmflink.checkpoint.reading import checkpoint_directory, load_manifest, read_file, value_of
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.checkpoint.storage import write_manifest
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.ids import JobId
from shmflink.core.keys.groups import MAX_PARALLELISM_MAX, range_of
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import CheckpointError, UsageError
from shmflink.state.descriptors import ListStateDescriptor, MapStateDescriptor, StateDescriptor
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import rows_of
from shmflink.state_processor.bootstrap import StateBootstrapTransformation, as_table
from shmflink.state_processor.encoding import encoded_state
from shmflink.state_processor.operator_identifier import OperatorIdentifier

__all__ = ["SavepointWriter"]

_ROWS_OF_A_SUBTASK: Final = 1 << 20
_SUBTASKS_MAX: Final = 64
_INLINE_BYTES: Final = 20 * 1024
_DEFAULT_MAX_PARALLELISM: Final = 128  # as a job has that sets nothing


@dataclass(slots=True)
class _Part:
    """One subtask's part of a keyed state, as `StateFileWriter` wants it."""

    name: str
    whole: Sequence[pa.RecordBatch]
    key_groups: range
    is_delta: bool = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of its key groups; an empty batch, for the schema, where there are none."""
        parts = [rows_of(batch, self.key_groups) for batch in self.whole]
        yield from [part for part in parts if part.num_rows] or parts[:1]

    def saved(self, is_saved: bool) -> None:
        """Does nothing: no changes are counted from it."""


@dataclass(slots=True)
class _Operator:
    """An operator of the savepoint to be: what is kept of the existing one, and what is new."""

    identifier: OperatorIdentifier
    kept: OperatorState | None = None
    keyed: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    broadcast: dict[str, dict[Any, Any]] = field(default_factory=dict)
    lists: dict[str, OperatorStatePart] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def keyed_names(self) -> set[str]:
        kept = self.kept.subtasks if self.kept is not None else ()
        return {keyed.name for subtask in kept for keyed in subtask.keyed} - self.removed | set(self.keyed)


class SavepointWriter:
    """What the savepoint will hold; nothing is written before `write`. Every `with_...` returns the writer itself."""

    def __init__(
        self,
        max_parallelism: int,
        directory: str,
        manifest: Manifest | None,
        clock: Clock,
        *,
        trusts_pickle: bool = False,
    ) -> None:
        """Use `new_savepoint` or `from_existing_savepoint`."""
        self._trusts_pickle = trusts_pickle
        self._max_parallelism = max_parallelism
        self._directory = directory
        self._manifest = manifest
        self._clock = clock
        self._operators = {
            op.operator_id: _Operator(OperatorIdentifier(op.operator_id, op.uid), op)
            for op in (manifest.operators if manifest is not None else ())
        }

    @staticmethod
    def new_savepoint(
        max_parallelism: int = _DEFAULT_MAX_PARALLELISM, *, clock: Clock = SYSTEM_CLOCK
    ) -> SavepointWriter:
        """An empty one. The job that starts from it has to have the same maximum parallelism."""
        if not 1 <= max_parallelism <= MAX_PARALLELISM_MAX:
            raise UsageError(f"max_parallelism must be 1 to {MAX_PARALLELISM_MAX}, got {max_parallelism}")
        return SavepointWriter(max_parallelism, "", None, clock)

    @staticmethod
    def from_existing_savepoint(
        path: str, *, trusts_pickle: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> SavepointWriter:
        """A copy of a savepoint or checkpoint, to be changed; the original stays as it is.

        `trusts_pickle`: pickled state that is to be changed is loaded also where another user wrote it, which runs
        that user's code.

        Raises:
            CheckpointError: there is none, it is damaged, or others may write to it.
        """
        directory = checkpoint_directory(path)
        manifest = load_manifest(directory)
        groups = max(manifest.max_parallelisms.values(), default=_DEFAULT_MAX_PARALLELISM)
        return SavepointWriter(groups, directory, manifest, clock, trusts_pickle=trusts_pickle)

    def with_keyed_state(
        self,
        operator: OperatorIdentifier | str,
        descriptor: StateDescriptor,
        table: Any,
        *,
        key: str | Sequence[str],
        value: str | Sequence[str] | None = None,
    ) -> SavepointWriter:
        """Gives an operator a keyed state, out of the columns of a table.

        `operator`: a text is its uid. `descriptor`: as the job's function declares the state. `table`: a pyarrow table
        or batch, or any object with Arrow columns (Polars, DuckDB). `key`: the column or columns of the key, as the
        job's key_by makes it: several are a tuple. `value`: the column or columns of the value, else all others.

        One row for each key; of ListState also one row for each item, and of MapState one for each pair (two value
        columns). With time to live the entries count as written now. Rows with a null value are left out.

        Raises:
            UsageError, TypeMismatchError: columns do not fit; the operator has such a state already.
        """
        target = self._operator(operator)
        if descriptor.name in target.keyed_names():
            raise UsageError(
                f"operator with {target.identifier} already has a keyed state '{descriptor.name}': remove it first "
                "with remove_state()"
            )
        now_ms = self._clock.processing_time_ms()
        groups = target.kept.max_parallelism if target.kept is not None else self._max_parallelism
        target.keyed[descriptor.name] = encoded_state(descriptor, as_table(table), key, value, groups, now_ms)
        return self

    def with_operator(
        self, operator: OperatorIdentifier | str, transformation: StateBootstrapTransformation
    ) -> SavepointWriter:
        """Gives an operator the states, and timers, that a function makes of the rows of a table; it runs at once.

        Raises:
            UsageError: the operator has one of these states already.
            UserFunctionError: the function failed.
        """
        target = self._operator(operator)
        groups = target.kept.max_parallelism if target.kept is not None else self._max_parallelism
        made = {
            snapshot.name: list(snapshot.batches())
            for snapshot in transformation.run(str(target.identifier), groups, self._clock)
        }
        made = {name: batches for name, batches in made.items() if batches}
        twice = sorted(set(made) & target.keyed_names())
        if twice:
            raise UsageError(
                f"operator with {target.identifier} already has keyed states {twice}: call remove_state() first"
            )
        target.keyed.update(made)
        return self

    def with_list_state(
        self, operator: OperatorIdentifier | str, descriptor: ListStateDescriptor, elements: Iterable[Any]
    ) -> SavepointWriter:
        """Gives an operator a list state without key, whose elements are dealt out among its subtasks."""
        target = self._operator(operator)
        part = OperatorStatePart(Redistribution.SPLIT_DISTRIBUTE, list(elements), repr(descriptor.type_info))
        target.lists[descriptor.name] = part
        return self

    def with_broadcast_state(
        self, operator: OperatorIdentifier | str, descriptor: MapStateDescriptor, entries: Mapping[Any, Any]
    ) -> SavepointWriter:
        """Gives an operator a broadcast state; it replaces all broadcast state that an existing operator has."""
        self._operator(operator).broadcast[descriptor.name] = dict(entries)
        return self

    def remove_state(self, operator: OperatorIdentifier | str, state: str) -> SavepointWriter:
        """*shmflink only.* Leaves out one keyed state of an operator. Raises UsageError where there is none."""
        target = self._existing(operator)
        if state not in target.keyed_names():
            known = ", ".join(sorted(target.keyed_names())) or "none"
            raise UsageError(f"operator with {target.identifier} has no keyed state '{state}'; it has: {known}")
        target.keyed.pop(state, None)
        target.removed.add(state)
        return self

    def remove_operator(self, operator: OperatorIdentifier | str) -> SavepointWriter:
        """Leaves out an operator with all its state. Raises UsageError where there is none."""
        del self._operators[self._existing(operator).identifier.operator_id]
        return self

    def change_operator_identifier(
        self, source: OperatorIdentifier | str, target: OperatorIdentifier | str
    ) -> SavepointWriter:
        """Gives an operator's state to another uid. Raises UsageError where that has state already."""
        moved, identifier = self._existing(source), _identifier(target)
        if identifier.operator_id in self._operators:
            raise UsageError(f"there already is an operator with {identifier}")
        del self._operators[moved.identifier.operator_id]
        moved.identifier = identifier
        self._operators[identifier.operator_id] = moved
        return self

    def write(self, path: str) -> str:
        """Writes the savepoint into the folder `path`, which is made; returns it: `shmflink run -s` takes it.

        Raises:
            CheckpointError: the folder exists and is not empty, or the system refuses; nothing is left behind.
        """
        directory = os.path.abspath(path.removeprefix("file://"))
        try:
            os.makedirs(os.path.dirname(directory), exist_ok=True)
            if not os.path.isdir(directory):
                os.mkdir(directory, 0o700)
        except OSError as error:
            raise CheckpointError(f"the savepoint {directory} cannot be created: {error.strerror or error}") from error
        if os.listdir(directory):
            raise CheckpointError(f"the folder {directory} is not empty: name a new one for the savepoint")
        try:
            return self._write(directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def _write(self, directory: str) -> str:
        old = self._manifest
        checkpoint_id = old.checkpoint_id if old is not None else 1
        writer = StateFileWriter(CheckpointLocation(directory, "", _INLINE_BYTES), 0, checkpoint_id)
        operators = tuple(self._written(writer, operator) for operator in self._operators.values())
        writer.sync_folders()
        manifest = Manifest(
            checkpoint_id,
            old.job_id if old is not None else JobId.random().hex,
            old.job_name if old is not None else "state processor",
            self._clock.processing_time_ms(),
            SAVEPOINT,
            operators,
            old.is_unaligned if old is not None else False,
        )
        return write_manifest(directory, manifest)

    def _written(self, writer: StateFileWriter, operator: _Operator) -> OperatorState:
        state = operator.kept or self._new_operator(operator)
        identifier = operator.identifier
        subtasks = [self._copied(writer, operator, subtask) for subtask in state.subtasks]
        for name, batches in operator.keyed.items():
            for number, subtask in enumerate(subtasks):
                groups = range_of(number, state.max_parallelism, state.parallelism)
                file = writer.write_keyed(identifier.operator_id, number, _Part(name, batches, groups), False)
                handle = KeyedStateHandle(name, groups.start, groups.stop - 1, (file,))
                subtasks[number] = replace(subtask, keyed=(*subtask.keyed, handle))
        if operator.lists:
            subtasks = [self._with_lists(writer, operator, subtask, len(subtasks)) for subtask in subtasks]
        if operator.broadcast:
            subtasks = [
                replace(
                    subtask,
                    broadcast_state=writer.write_value(identifier.operator_id, number, "broadcast", operator.broadcast),
                )
                for number, subtask in enumerate(subtasks)
            ]
        coordinator = state.coordinator and self._copy(writer, identifier, 0, state.coordinator)
        return replace(
            state,
            operator_id=identifier.operator_id,
            uid=identifier.uid,
            subtasks=tuple(subtasks),
            coordinator=coordinator,
        )

    def _with_lists(
        self, writer: StateFileWriter, operator: _Operator, subtask: OperatorSubtaskState, parallelism: int
    ) -> OperatorSubtaskState:
        """New elements are distributed in addition to a subtask's own: a restore with this parallelism moves none."""
        number = subtask.subtask
        before = None if operator.kept is None else operator.kept.subtasks[number].operator_state
        states: dict[str, OperatorStatePart] = {}
        if before is not None and operator.kept is not None:
            states = dict(value_of(self._directory, operator.kept, before, allows_pickle=self._trusts_pickle))
        for name, part in operator.lists.items():
            own = states[name].elements if name in states else []
            states[name] = replace(part, elements=[*own, *part.elements[number::parallelism]])
        file = writer.write_value(operator.identifier.operator_id, number, "operator", states)
        return replace(subtask, operator_state=file)

    def _new_operator(self, operator: _Operator) -> OperatorState:
        """As many subtasks as its rows fill: each is read by those alone that take over its key groups."""
        rows = max((sum(batch.num_rows for batch in batches) for batches in operator.keyed.values()), default=0)
        parallelism = min(1 + rows // _ROWS_OF_A_SUBTASK, _SUBTASKS_MAX, self._max_parallelism)
        identifier = operator.identifier
        name = identifier.uid or identifier.operator_id
        subtasks = tuple(OperatorSubtaskState(identifier.operator_id, number) for number in range(parallelism))
        return OperatorState(
            identifier.operator_id, identifier.uid, name, -1, parallelism, self._max_parallelism, subtasks
        )

    def _copied(
        self, writer: StateFileWriter, operator: _Operator, subtask: OperatorSubtaskState
    ) -> OperatorSubtaskState:
        identifier, number = operator.identifier, subtask.subtask

        def copy(file: StateFile | None) -> StateFile | None:
            return None if file is None else self._copy(writer, identifier, number, file)

        keyed = tuple(
            replace(handle, files=tuple(self._copy(writer, identifier, number, file) for file in handle.files))
            for handle in subtask.keyed
            if handle.name not in operator.removed
        )
        channels = tuple(
            replace(channel, file=self._copy(writer, identifier, number, channel.file)) for channel in subtask.channels
        )
        return replace(
            subtask,
            operator_id=identifier.operator_id,
            keyed=keyed,
            channels=channels,
            operator_state=copy(subtask.operator_state),
            broadcast_state=copy(subtask.broadcast_state),
        )

    def _copy(self, writer: StateFileWriter, identifier: OperatorIdentifier, number: int, file: StateFile) -> StateFile:
        """The same content under a name of this savepoint; checked on the way."""
        if not file.length:
            return file
        data = read_file(self._directory, file)
        kind = os.path.splitext(file.path)[1].removeprefix(".")
        return replace(writer.write_bytes(identifier.operator_id, number, kind, memoryview(data)), rows=file.rows)

    def _operator(self, operator: OperatorIdentifier | str) -> _Operator:
        identifier = _identifier(operator)
        return self._operators.setdefault(identifier.operator_id, _Operator(identifier))

    def _existing(self, operator: OperatorIdentifier | str) -> _Operator:
        identifier = _identifier(operator)
        found = self._operators.get(identifier.operator_id)
        if found is None:
            known = ", ".join(str(one.identifier) for one in self._operators.values()) or "none"
            raise UsageError(f"the savepoint has no operator with {identifier}; it has: {known}")
        return found


def _identifier(operator: OperatorIdentifier | str) -> OperatorIdentifier:
    return OperatorIdentifier.for_uid(operator) if isinstance(operator, str) else operator
