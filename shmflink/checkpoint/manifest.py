"""The parts of a checkpoint as a small text file that people can read: `_metadata`, JSON.

Layout: first `format`, `version` and `crc32`, then the checkpoint's content. The checksum covers the content as
compact JSON, so that reformatting the text changes nothing. Small state is included, as base64 of its bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

import orjson

from shmflink.checkpoint.handles import ChannelState, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.core.json_fields import JsonFields, JsonFieldsError
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import CheckpointCorruptedError, CheckpointError

__all__ = [
    "CHECKPOINT",
    "SAVEPOINT",
    "VERSION",
    "Manifest",
    "OperatorState",
    "files_of",
    "files_of_subtask",
    "manifest_from",
    "text_of",
]

VERSION: Final = 2
"""2: `connector` of operators; values that are not pickled. A release reads this version and all earlier ones."""
CHECKPOINT: Final = "checkpoint"
SAVEPOINT: Final = "savepoint"
_FORMAT: Final = "shmflink checkpoint"
_FILE_NAME: Final = re.compile(r"(?:\.\./shared/)?(?![.])[^/\x00-\x1f\x7f]{1,255}")
"""In the checkpoint's own folder, or in `shared` beside it, and nowhere else."""
_CRC32: Final = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class OperatorState:
    """One operator with all its subtasks.

    `vertex` is the index of its job vertex, -1 if no job wrote it. `coordinator` is the state of what runs beside the
    subtasks, for example a source's enumerator. `connector`: the class name of the source or sink that wrote it; empty
    for other operators, and if it is not known.
    """

    operator_id: str
    uid: str | None
    name: str
    vertex: int
    parallelism: int
    max_parallelism: int
    subtasks: tuple[OperatorSubtaskState, ...] = ()
    coordinator: StateFile | None = None
    connector: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether all its subtasks had ended before the checkpoint."""
        return len(self.subtasks) == self.parallelism and all(subtask.is_finished for subtask in self.subtasks)

    @property
    def has_state(self) -> bool:
        """False for an operator that a job can drop without losing anything."""
        return self.coordinator is not None or any(
            s.keyed or s.operator_state or s.broadcast_state or s.channels for s in self.subtasks
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole checkpoint or savepoint. `kind`: CHECKPOINT or SAVEPOINT; `timestamp_ms`: of its trigger."""

    checkpoint_id: int
    job_id: str
    job_name: str
    timestamp_ms: int
    kind: str
    operators: tuple[OperatorState, ...] = ()
    is_unaligned: bool = False
    version: int = VERSION

    @property
    def max_parallelisms(self) -> dict[str, int]:
        """The maximum parallelism of each operator, by its id."""
        return {operator.operator_id: operator.max_parallelism for operator in self.operators}

    def operator(self, operator_id: str) -> OperatorState | None:
        """None if the checkpoint does not have it."""
        return next((operator for operator in self.operators if operator.operator_id == operator_id), None)


def files_of(manifest: Manifest) -> Iterator[StateFile]:
    """Every file that the checkpoint needs, including those inside the manifest."""
    for operator in manifest.operators:
        if operator.coordinator is not None:
            yield operator.coordinator
        for subtask in operator.subtasks:
            yield from files_of_subtask(subtask)


def files_of_subtask(subtask: OperatorSubtaskState) -> Iterator[StateFile]:
    """Every file of one acknowledged state."""
    for keyed in subtask.keyed:
        yield from keyed.files
    yield from (file for file in (subtask.operator_state, subtask.broadcast_state) if file is not None)
    yield from (channel.file for channel in subtask.channels)


def text_of(manifest: Manifest) -> bytes:
    """The content of `_metadata`."""
    content = _manifest_out(manifest)
    head = {"format": _FORMAT, "version": manifest.version, "crc32": _checksum(content)}
    return orjson.dumps({**head, "content": content}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def manifest_from(text: bytes, path: str) -> Manifest:
    """The inverse of `text_of`; errors name `path`.

    Raises:
        CheckpointCorruptedError: the text was truncated or changed.
        CheckpointError: it is not a manifest, or of a version that this release does not know.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CheckpointCorruptedError(
            f"{path} is truncated or changed: it is no longer valid JSON ({error})"
        ) from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not the metadata of a shmflink checkpoint: its `format` is not {_FORMAT!r}")
    version, content = document.get("version"), document.get("content")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise CheckpointError(
            f"{path} has version {version!r} of the checkpoint format, but this release of shmflink reads versions 1 "
            f"to {VERSION}: use the release that wrote it, or a newer one"
        )
    if content is None or document.get("crc32") != _checksum(content):
        raise CheckpointCorruptedError(f"{path} is damaged: its content does not match its checksum")
    try:
        return _manifest_in(JsonFields(content, ""), version)
    except JsonFieldsError as error:
        raise CheckpointError(
            f"{path} cannot be decoded: {error}. A newer release of shmflink or another program wrote it: use the "
            "release that wrote it, or start from another checkpoint or savepoint"
        ) from error


def _checksum(content: Any) -> str:
    """Empty if it is nested too deeply: `text_of` never writes that."""
    try:
        return f"{zlib.crc32(orjson.dumps(content)):08x}"
    except orjson.JSONEncodeError:
        return ""


def _manifest_out(manifest: Manifest) -> dict[str, Any]:
    return {
        "checkpoint_id": manifest.checkpoint_id,
        "job_id": manifest.job_id,
        "job_name": manifest.job_name,
        "timestamp_ms": manifest.timestamp_ms,
        "kind": manifest.kind,
        "is_unaligned": manifest.is_unaligned,
        "operators": [_operator_out(operator) for operator in manifest.operators],
    }


def _manifest_in(content: JsonFields, version: int) -> Manifest:
    kind = content.text("kind")
    if kind not in (CHECKPOINT, SAVEPOINT):
        raise JsonFieldsError(f"kind is {kind!r}, not {CHECKPOINT!r} or {SAVEPOINT!r}")
    manifest = Manifest(
        content.integer("checkpoint_id"),
        content.text("job_id"),
        content.text("job_name"),
        content.integer("timestamp_ms"),
        kind,
        tuple(_operator_in(operator) for operator in content.each("operators")),
        content.flag("is_unaligned"),
        version,
    )
    content.end()
    return manifest


def _operator_out(operator: OperatorState) -> dict[str, Any]:
    out = {
        "operator_id": operator.operator_id,
        "uid": operator.uid,
        "name": operator.name,
        "vertex": operator.vertex,
        "parallelism": operator.parallelism,
        "max_parallelism": operator.max_parallelism,
        "subtasks": [_subtask_out(subtask) for subtask in operator.subtasks],
    }
    if operator.connector:
        out["connector"] = operator.connector
    return out | _optional("coordinator", operator.coordinator)


def _operator_in(out: JsonFields) -> OperatorState:
    operator_id = out.text("operator_id")
    parallelism = out.integer("parallelism", minimum=1)
    max_parallelism = out.integer("max_parallelism", minimum=1)
    subtasks = tuple(_subtask_in(operator_id, max_parallelism, subtask) for subtask in out.each("subtasks"))
    if len(subtasks) > parallelism or any(one.subtask != index for index, one in enumerate(subtasks)):
        raise JsonFieldsError(f"{out.place('subtasks')} are not numbered from 0 to {parallelism - 1}")
    operator = OperatorState(
        operator_id,
        out.optional_text("uid"),
        out.text("name"),
        out.integer("vertex", minimum=-1),
        parallelism,
        max_parallelism,
        subtasks,
        _file_in(out.optional_fields("coordinator")),
        out.text("connector", ""),
    )
    out.end()
    return operator


def _subtask_out(subtask: OperatorSubtaskState) -> dict[str, Any]:
    out: dict[str, Any] = {"subtask": subtask.subtask}
    if subtask.is_finished:
        out["is_finished"] = True
    if subtask.keyed:
        out["keyed"] = [
            {
                "name": keyed.name,
                "key_groups": [keyed.first_group, keyed.last_group],
                "files": [_file_out(file) for file in keyed.files],
            }
            for keyed in subtask.keyed
        ]
    out |= _optional("operator_state", subtask.operator_state) | _optional("broadcast_state", subtask.broadcast_state)
    if subtask.channels:
        out["channels"] = [
            {"edge": channel.edge, "producer": channel.producer, "file": _file_out(channel.file)}
            for channel in subtask.channels
        ]
    return out


def _subtask_in(operator_id: str, max_parallelism: int, out: JsonFields) -> OperatorSubtaskState:
    subtask = OperatorSubtaskState(
        operator_id,
        out.integer("subtask"),
        tuple(_keyed_in(keyed, max_parallelism) for keyed in out.each("keyed", [])),
        _file_in(out.optional_fields("operator_state")),
        _file_in(out.optional_fields("broadcast_state")),
        tuple(_channel_in(channel) for channel in out.each("channels", [])),
        out.flag("is_finished", default=False),
    )
    out.end()
    return subtask


def _keyed_in(out: JsonFields, max_parallelism: int) -> KeyedStateHandle:
    groups = out.items("key_groups")
    if len(groups) != 2 or any(type(group) is not int for group in groups):
        raise JsonFieldsError(f"{out.place('key_groups')} is not the first and the last of a range")
    first, last = groups
    if not 0 <= first <= last < max_parallelism:
        raise JsonFieldsError(f"{out.place('key_groups')} is {groups}, outside 0 to {max_parallelism - 1}")
    keyed = KeyedStateHandle(out.text("name"), first, last, tuple(_of(file) for file in out.each("files")))
    out.end()
    return keyed


def _channel_in(out: JsonFields) -> ChannelState:
    channel = ChannelState(out.integer("edge"), out.integer("producer"), _of(out.fields("file")))
    out.end()
    return channel


def _optional(name: str, file: StateFile | None) -> dict[str, Any]:
    return {} if file is None else {name: _file_out(file)}


def _file_out(file: StateFile) -> dict[str, Any]:
    out: dict[str, Any] = {"path": file.path, "length": file.length, "crc32": f"{file.crc32:08x}"}
    if file.rows:
        out["rows"] = file.rows
    if file.inline:
        out["inline"] = base64.b64encode(file.inline).decode()
    return out


def _file_in(out: JsonFields | None) -> StateFile | None:
    return None if out is None else _of(out)


def _of(out: JsonFields) -> StateFile:
    path, crc32 = out.text("path"), out.text("crc32")
    if _FILE_NAME.fullmatch(path) is None:
        raise JsonFieldsError(f"{out.place('path')} is {path!r}, not a file in the checkpoint's folder or ../shared")
    if _CRC32.fullmatch(crc32) is None:
        raise JsonFieldsError(f"{out.place('crc32')} is {crc32!r}, not eight hexadecimal digits")
    length, rows = out.integer("length"), out.integer("rows", 0)
    try:
        inline = base64.b64decode(out.text("inline", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise JsonFieldsError(f"{out.place('inline')} is not base64: {error}") from error
    out.end()
    return StateFile(path, length, int(crc32, 16), rows, inline)
