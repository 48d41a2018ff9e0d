"""Reads checkpoints and savepoints: finds them, checks them, returns what each subtask restores.

Returns nothing from a file whose length or checksum differs from the manifest, and unpickles nothing from another
user's checkpoint unless that was requested (`allows_pickle`; None: only the user's own checkpoints).
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa

from shmflink.checkpoint.commit_notes import noted_commits
from shmflink.checkpoint.handles import KeyedStateHandle, StateFile
from shmflink.checkpoint.manifest import Manifest, OperatorState, files_of, manifest_from
from shmflink.checkpoint.state_files import loads_elements
from shmflink.checkpoint.trust import check_folder, is_own, open_file, pickle_refused
from shmflink.core.serialization.codec import loads_state
from shmflink.core.serialization.plain_values import PlainValueError, is_plain
from shmflink.errors import CheckpointCorruptedError, CheckpointError, StateMismatchError
from shmflink.state.operator_state import OperatorStatePart, redistributed
from shmflink.state.snapshots import NOTHING_RESTORED, RestoredState, rows_of

__all__ = [
    "METADATA",
    "StateReader",
    "check_max_parallelism",
    "checkpoint_directory",
    "coordinator_state",
    "load_manifest",
    "may_hold_pickles",
    "may_unpickle",
    "open_checkpoint",
    "read_file",
    "restored_state",
    "value_of",
    "verify_checkpoint",
]

METADATA: Final = "_metadata"
_BINARY_KINDS: Final = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


def checkpoint_directory(path: str) -> str:
    """The folder of a checkpoint or savepoint, given by its path or by its `_metadata`; an initial `file:` is removed.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    local = path.removeprefix("file://") if path.startswith("file:///") else path.removeprefix("file:")
    local = os.path.abspath(local)
    directory = os.path.dirname(local) if os.path.basename(local) == METADATA else local
    if os.path.isfile(os.path.join(directory, METADATA)):
        return directory
    raise CheckpointError(f"{path} is not a checkpoint or savepoint: {_explain_missing(directory)}")


def open_checkpoint(path: str) -> Manifest:
    """The manifest of a checkpoint or savepoint; `checkpoint_directory` takes the same `path`.

    Raises:
        CheckpointError: there is none, or it has another version.
        CheckpointCorruptedError: its manifest is damaged.
    """
    return load_manifest(checkpoint_directory(path))


def load_manifest(directory: str) -> Manifest:
    """The manifest in a folder that has one. CheckpointError also if others may write to the folder."""
    path = os.path.join(directory, METADATA)
    check_folder(directory)
    try:
        with open(open_file(path), "rb") as file:
            text = file.read()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    return manifest_from(text, path)


def verify_checkpoint(directory: str, manifest: Manifest, *, contents: bool = True) -> int:
    """Checks every file; returns their total bytes. Without `contents` checks only that they exist in full length.

    Raises:
        CheckpointCorruptedError: names the first bad file.
    """
    total = 0
    for file in dict.fromkeys(files_of(manifest)):
        if contents or file.inline:
            read_file(directory, file)
        else:
            _check_length(directory, file)
        total += file.length
    return total


def read_file(directory: str, file: StateFile) -> pa.Buffer:
    """The checked content of a file, mapped instead of read.

    Raises:
        CheckpointCorruptedError: it is missing, has another length or other content.
    """
    path = os.path.normpath(os.path.join(directory, file.path))
    if file.inline or not file.length:
        data = pa.py_buffer(file.inline)
        path = f"{os.path.join(directory, METADATA)} (the state {file.path} inside)"
    else:
        _check_length(directory, file)
        try:
            data = _mapped(path)
        except OSError as error:
            raise CheckpointCorruptedError(_damaged(directory, path, f"cannot be read: {error}")) from error
    found = zlib.crc32(data)
    if data.size != file.length or found != file.crc32:
        what = f"has the checksum {found:08x} instead of {file.crc32:08x}: its content has changed"
        raise CheckpointCorruptedError(_damaged(directory, path, what))
    return data


def coordinator_state(directory: str, operator: OperatorState, *, allows_pickle: bool | None = None) -> bytes | None:
    """What the JobManager saved beside the subtasks (a source's enumerator), for `loads_state`; None if nothing."""
    if operator.coordinator is None:
        return None
    value: bytes = value_of(directory, operator, operator.coordinator, allows_pickle=allows_pickle)
    if not is_plain(value) and not may_unpickle(directory, allows_pickle):
        raise pickle_refused(directory, f"the state of the source '{operator.name}'")
    return value


def may_unpickle(directory: str, allows_pickle: bool | None) -> bool:
    """Whether pickled values of this checkpoint may be loaded."""
    return is_own(directory) if allows_pickle is None else allows_pickle or is_own(directory)


def restored_state(
    manifest: Manifest,
    directory: str,
    operator_id: str,
    subtask: int,
    parallelism: int,
    key_groups: range,
    max_parallelism: int,
    *,
    allows_pickle: bool | None = None,
) -> RestoredState:
    """One subtask's share of its operator's state; NOTHING_RESTORED if the checkpoint does not have the operator.

    Reads and checks keyed files only when `read_keyed` is iterated; never opens those without key groups of the
    subtask.

    Raises:
        CheckpointCorruptedError: a file is damaged.
        StateMismatchError: the maximum parallelism has changed (G4), or a value cannot be unpickled (C22).
    """
    operator = manifest.operator(operator_id)
    if operator is None:
        return NOTHING_RESTORED
    check_max_parallelism(operator, max_parallelism)
    reader = StateReader(directory, operator, allows_pickle=allows_pickle)
    return RestoredState(
        checkpoint_id=manifest.checkpoint_id,
        keyed_names=reader.keyed_names,
        read_keyed=lambda name: reader.read_keyed(name, key_groups),
        operator_state=reader.operator_state(subtask, parallelism),
        broadcast_state=reader.broadcast_state(subtask),
        committed=noted_commits(directory, operator_id),
    )


def check_max_parallelism(operator: OperatorState, max_parallelism: int) -> None:
    """With another one, keys are in other key groups. Raises StateMismatchError then, if there is keyed state."""
    if operator.max_parallelism != max_parallelism and any(subtask.keyed for subtask in operator.subtasks):
        raise StateMismatchError(
            f"the keyed state of operator '{operator.name}' ({operator.uid or operator.operator_id}) was written with "
            f"a maximum parallelism of {operator.max_parallelism}, but the job has {max_parallelism}; "
            f"it cannot change. Use set_max_parallelism({operator.max_parallelism})"
        )


class StateReader:
    """The state of one operator in a checkpoint, read on demand."""

    def __init__(self, directory: str, operator: OperatorState, *, allows_pickle: bool | None = None) -> None:
        self._directory = directory
        self._operator = operator
        self._allows_pickle = allows_pickle

    @property
    def keyed_names(self) -> tuple[str, ...]:
        """Names of the keyed states, over all subtasks."""
        return tuple(dict.fromkeys(keyed.name for subtask in self._operator.subtasks for keyed in subtask.keyed))

    def schema_of(self, file: StateFile) -> pa.Schema:
        """The schema of a keyed file; its rows are neither read nor checked."""
        path = os.path.normpath(os.path.join(self._directory, file.path))
        try:
            if file.inline:
                return pa.ipc.open_file(pa.BufferReader(file.inline)).schema
            return pa.ipc.open_file(pa.BufferReader(_mapped(path))).schema
        except (OSError, pa.ArrowInvalid) as error:
            raise CheckpointCorruptedError(_damaged(self._directory, path, f"cannot be read: {error}")) from error

    def read_keyed(self, name: str, key_groups: range | None = None) -> Iterator[pa.RecordBatch]:
        """Entries of all former subtasks, then their changes, as `RestoredState.read_keyed` says; None: all groups."""
        groups = range(self._operator.max_parallelism) if key_groups is None else key_groups
        chains = [
            keyed.files
            for subtask in self._operator.subtasks
            for keyed in subtask.keyed
            if keyed.name == name and _overlaps(keyed, groups)
        ]
        for files in chains:
            yield from self._rows(files[:1], groups)
        for files in chains:
            yield from self._rows(files[1:], groups)

    def operator_state(self, subtask: int, parallelism: int) -> Mapping[str, OperatorStatePart]:
        """The share of one of `parallelism` subtasks."""
        states = self._values("operator_state")
        return redistributed([state or {} for state in states], parallelism)[subtask] if any(states) else {}

    def broadcast_state(self, subtask: int) -> Mapping[str, Mapping[Any, Any]]:
        """The same in every subtask; taken from another one if the subtask's own had ended."""
        files = [state.broadcast_state for state in self._operator.subtasks]
        start = subtask % len(files) if files else 0
        file = next((file for file in files[start:] + files[:start] if file is not None), None)
        return {} if file is None else self._value(file, Mapping)

    def _values(self, attribute: str) -> list[dict[str, OperatorStatePart] | None]:
        files = [getattr(state, attribute) for state in self._operator.subtasks]
        return [None if file is None else self._value(file, OperatorStatePart) for file in files]

    def _value(self, file: StateFile, part: Any) -> Any:
        """A mapping of names to states of this type."""
        value = value_of(self._directory, self._operator, file, allows_pickle=self._allows_pickle)
        if type(value) is dict and all(type(name) is str and isinstance(one, part) for name, one in value.items()):
            return value
        raise StateMismatchError(
            f"the state {file.path} of operator '{self._operator.name}' in {self._directory} is a "
            f"{type(value).__name__}, not states by name: another program wrote it"
        )

    def _rows(self, files: tuple[StateFile, ...], key_groups: range) -> Iterator[pa.RecordBatch]:
        for file in files:
            if not file.length:
                continue
            data = read_file(self._directory, file)
            try:
                reader = pa.ipc.open_file(pa.BufferReader(data))
                for index in range(reader.num_record_batches):
                    batch = reader.get_batch(index)
                    if may_hold_pickles(batch) and not may_unpickle(self._directory, self._allows_pickle):
                        raise pickle_refused(self._directory, f"keyed state of operator '{self._operator.name}'")
                    rows = rows_of(batch, key_groups)
                    if rows.num_rows:
                        yield rows
            except pa.ArrowInvalid as error:
                # The checksum matches: the file was written like this.
                raise CheckpointCorruptedError(
                    _damaged(self._directory, file.path, f"is not an Arrow file: {error}")
                ) from error


def _overlaps(keyed: KeyedStateHandle, key_groups: range) -> bool:
    return keyed.first_group < key_groups.stop and keyed.last_group >= key_groups.start


def may_hold_pickles(batch: pa.RecordBatch) -> bool:
    """Whether a column holds bytes, into which keys and values without a type are pickled. The user's own bytes look
    the same.
    """
    return any(
        _has_binary(field.type) and column.null_count < len(column)
        for field, column in zip(batch.schema, batch.columns, strict=True)
    )


def value_of(directory: str, operator: OperatorState, file: StateFile, *, allows_pickle: bool | None = None) -> Any:
    """A value that `StateFileWriter.write_value` wrote.

    Raises:
        CheckpointCorruptedError: the file is damaged.
        CheckpointError: it is pickled and must not be loaded.
        StateMismatchError: it contains something that this program or this release does not know.
    """
    data = memoryview(read_file(directory, file))
    if not is_plain(data) and not may_unpickle(directory, allows_pickle):
        raise pickle_refused(directory, f"state of operator '{operator.name}'")
    try:
        value = loads_state(data)
        if not may_unpickle(directory, allows_pickle):
            _check_rows_in(value, pickle_refused(directory, f"a row in the state of operator '{operator.name}'"))
        return value
    except CheckpointError:
        raise
    except PlainValueError as error:
        raise StateMismatchError(
            f"the state {file.path} of operator '{operator.name}' ({operator.uid or operator.operator_id}) in "
            f"{directory} cannot be decoded: {error}. Use the release that wrote it"
        ) from error
    except Exception as error:
        raise StateMismatchError(
            f"the state {file.path} of operator '{operator.name}' ({operator.uid or operator.operator_id}) in "
            f"{directory} cannot be unpickled: {type(error).__name__}: {error}. If one of its classes was moved or "
            "renamed, make it importable under its old name, or start without this state (--allow-non-restored-state)"
        ) from error


def _check_length(directory: str, file: StateFile) -> None:
    path = os.path.normpath(os.path.join(directory, file.path))
    try:
        length = os.stat(path).st_size
    except OSError as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
        raise CheckpointCorruptedError(_damaged(directory, path, what)) from error
    if length != file.length:
        raise CheckpointCorruptedError(_damaged(directory, path, f"has {length} bytes instead of {file.length}"))


def _check_rows_in(value: Any, refused: CheckpointError) -> None:
    """Rows that a state holds as `dumps_elements` writes them; they may be pickled. Raises `refused` then."""

    def check(batch: pa.RecordBatch) -> None:
        if may_hold_pickles(batch):
            raise refused

    if isinstance(value, bytes):
        inner = loads_state(value) if is_plain(value) else None
        if isinstance(inner, list):
            with suppress(pa.ArrowInvalid):  # bytes, but not rows
                loads_elements(value, check)
        else:
            _check_rows_in(inner, refused)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _check_rows_in(getattr(value, field.name), refused)
    elif isinstance(value, Mapping):
        for item in value.items():
            _check_rows_in(item, refused)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _check_rows_in(item, refused)


def _has_binary(kind: pa.DataType) -> bool:
    if any(is_kind(kind) for is_kind in _BINARY_KINDS):
        return True
    if pa.types.is_dictionary(kind):
        return _has_binary(kind.value_type)
    return any(_has_binary(kind.field(index).type) for index in range(kind.num_fields))


def _mapped(path: str) -> pa.Buffer:
    """The content, mapped; the buffer outlives every descriptor. OSError, or CheckpointError if it is not a file."""
    fd = open_file(path)
    try:
        with pa.memory_map(f"/proc/self/fd/{fd}") as mapped:
            return mapped.read_buffer()
    finally:
        os.close(fd)


def _damaged(directory: str, path: str, what: str) -> str:
    return f"the checkpoint {directory} is damaged: {path} {what}. Restore an older checkpoint or a savepoint"


def _explain_missing(directory: str) -> str:
    if not os.path.exists(directory):
        return "it does not exist"
    try:
        inside = sorted(name for name in os.listdir(directory) if name.startswith(("chk-", "savepoint-")))
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    if inside:
        return f"it has no {METADATA}. Did you mean {os.path.join(directory, inside[-1])}?"
    return f"it has no {METADATA}, which is written last: the checkpoint was never completed"
