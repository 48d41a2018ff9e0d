"""What a checkpoint consists of, as a small text file that people read too: `_metadata`, JSON.

Layout: `format`, `version` and `crc32` in front, the checkpoint's content behind. The checksum is that of the content
as compact JSON, so that laying the text out anew changes nothing. Small state stands inside, as base64 of its bytes.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shmflink.checkpoint.handles import ChannelState, KeyedStateHandle, OperatorSubtaskState, StateFile
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

VERSION: Final = 1
CHECKPOINT: Final = "checkpoint"
SAVEPOINT: Final = "savepoint"
_FORMAT: Final = "shmflink checkpoint"


@dataclass(frozen=True, slots=True)
class OperatorState:
    """One operator with all its subtasks.

    `vertex` is the index of its job vertex, -1 where no job wrote it. `coordinator` holds what runs beside the
    subtasks, a source's enumerator, pickled.
    """

    operator_id: str
    uid: str | None
    name: str
    vertex: int
    parallelism: int
    max_parallelism: int
    subtasks: tuple[OperatorSubtaskState, ...] = ()
    coordinator: StateFile | None = None

    @property
    def is_finished(self) -> bool:
        """All its subtasks had ended before the checkpoint."""
        return len(self.subtasks) == self.parallelism and all(subtask.is_finished for subtask in self.subtasks)

    @property
    def has_state(self) -> bool:
        """False for an operator that a job may lose without a loss."""
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
        """Of each operator, by its id."""
        return {operator.operator_id: operator.max_parallelism for operator in self.operators}

    def operator(self, operator_id: str) -> OperatorState | None:
        """None where the checkpoint does not know it."""
        return next((operator for operator in self.operators if operator.operator_id == operator_id), None)


def files_of(manifest: Manifest) -> Iterator[StateFile]:
    """Every file that the checkpoint needs, also those inside the manifest."""
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
    """The inverse of `text_of`; `path` stands in the errors.

    Raises:
        CheckpointCorruptedError: the text was cut or changed.
        CheckpointError: it is none of ours, or of a version that this release does not know.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CheckpointCorruptedError(f"{path} is truncated or changed: it is no JSON any more ({error})") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not the metadata of a shmflink checkpoint: its `format` is not {_FORMAT!r}")
    version, content = document.get("version"), document.get("content")
    if version != VERSION:
        raise CheckpointError(
            f"{path} has the version {version} of the checkpoint format, this release of shmflink reads version "
            f"{VERSION}: use the release that wrote it, or a newer one"
        )
    if content is None or document.get("crc32") != _checksum(content):
        raise CheckpointCorruptedError(f"{path} is damaged: its content does not have the checksum that stands in it")
    return _manifest_in(content, version)


def _checksum(content: Any) -> str:
    return f"{zlib.crc32(orjson.dumps(content)):08x}"


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


def _manifest_in(content: dict[str, Any], version: int) -> Manifest:
    operators = tuple(_operator_in(operator) for operator in content["operators"])
    return Manifest(**{**content, "operators": operators}, version=version)


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
    return out | _optional("coordinator", operator.coordinator)


def _operator_in(out: dict[str, Any]) -> OperatorState:
    subtasks = tuple(_subtask_in(out["operator_id"], subtask) for subtask in out["subtasks"])
    return OperatorState(**{**out, "subtasks": subtasks, "coordinator": _file_in(out.get("coordinator"))})


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


def _subtask_in(operator_id: str, out: dict[str, Any]) -> OperatorSubtaskState:
    return OperatorSubtaskState(
        operator_id,
        out["subtask"],
        tuple(_keyed_in(keyed) for keyed in out.get("keyed", ())),
        _file_in(out.get("operator_state")),
        _file_in(out.get("broadcast_state")),
        tuple(ChannelState(c["edge"], c["producer"], _of(c["file"])) for c in out.get("channels", ())),
        out.get("is_finished", False),
    )


def _keyed_in(out: dict[str, Any]) -> KeyedStateHandle:
    first, last = out["key_groups"]
    return KeyedStateHandle(out["name"], first, last, tuple(_of(file) for file in out["files"]))


def _optional(name: str, file: StateFile | None) -> dict[str, Any]:
    return {} if file is None else {name: _file_out(file)}


def _file_out(file: StateFile) -> dict[str, Any]:
    out: dict[str, Any] = {"path": file.path, "length": file.length, "crc32": f"{file.crc32:08x}"}
    if file.rows:
        out["rows"] = file.rows
    if file.inline:
        out["inline"] = base64.b64encode(file.inline).decode()
    return out


def _file_in(out: dict[str, Any] | None) -> StateFile | None:
    return None if out is None else _of(out)


def _of(out: dict[str, Any]) -> StateFile:
    inline = base64.b64decode(out.get("inline", ""))
    return StateFile(out["path"], out["length"], int(out["crc32"], 16), out.get("rows", 0), inline)
