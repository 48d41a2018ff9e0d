"""Rows that cannot be read: the job fails, or they are skipped, or they are emitted with the reason.

Every malformed row is counted (`malformed_rows` of the source's operator).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from typing import Final, Literal

import pyarrow as pa

from shmflink.connectors.file_system.writing.parts.part_file import PartFile
from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import ConfigurationError, DataFormatError, ResourceError
from shmflink.operators.base import OperatorContext, SideOutput

__all__ = ["MALFORMED_SCHEMA", "MALFORMED_TAG", "MalformedRow", "MalformedRows", "OnError", "OnErrorPolicy"]

OnError = Literal["fail", "skip", "side_output", "folder"]
_POLICIES: Final = ("fail", "skip", "side_output", "folder")
_SHOWN_CHARACTERS: Final = 200
_ADVICE: Final = ". To continue without such rows, set on_error='skip', 'side_output' or 'folder'"

MALFORMED_TAG: Final = "malformed"
MALFORMED_SCHEMA: Final = pa.schema(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("byte_offset", pa.int64()),
        ("text", pa.string()),
        ("reason", pa.string()),
    ]
)
"""Columns of the side output and keys of the JSON lines. Lines count from 1, bytes from 0."""

_MALFORMED_TYPE: Final = ColumnsTypeInfo(MALFORMED_SCHEMA)


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A row as in its file, and why it cannot be read."""

    file: str
    line: int
    byte_offset: int
    text: str
    reason: str

    def message(self, advice: str) -> str:
        """The message of the exception that fails the job."""
        text = self.text
        shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
        return f"{self.file}: line {self.line} (byte {self.byte_offset}): {self.reason}. The row: {shown!r}{advice}"


@dataclass(frozen=True, slots=True)
class OnErrorPolicy:
    """The user's choice, if there is one.

    `tag` is the tag of the side output; `folder` is an absolute local path.
    """

    on_error: OnError = "fail"
    tag: str = MALFORMED_TAG
    folder: str | None = None
    is_chosen: bool = False

    @classmethod
    def chosen(cls, on_error: str, tag: str, folder: str | None) -> OnErrorPolicy:
        """Checks the user's choice. Raises ConfigurationError."""
        if on_error not in _POLICIES:
            raise ConfigurationError(f"on_error: {on_error!r} is not one of {', '.join(_POLICIES)}")
        if (folder is not None) != (on_error == "folder"):
            raise ConfigurationError("on_error='folder' and malformed_folder='...' must be given together")
        if not tag:
            raise ConfigurationError("malformed_tag: the side output needs a name")
        absolute = None if folder is None else os.path.abspath(os.path.expanduser(folder))
        return cls(on_error, tag, absolute, True)  # type: ignore[arg-type]  # checked above

    def side_output_type(self, tag: str) -> ColumnsTypeInfo | None:
        """The type of the side output, if it is the one of this tag."""
        return _MALFORMED_TYPE if self.on_error == "side_output" and tag == self.tag else None


class MalformedRows:
    """Receives the malformed rows of one reader. Used only by the slot's thread."""

    def __init__(self, policy: OnErrorPolicy, context: OperatorContext | None = None) -> None:
        """Without a context, rows are counted only here."""
        self.policy = policy
        self.count = 0
        self._context = context
        self._part: PartFile | None = None

    @property
    def needs_rows(self) -> bool:
        """False if counting is enough."""
        return self.policy.on_error != "skip"

    def skip(self, count: int) -> None:
        """Counts rows that need not be shown."""
        self.count += count
        if self._context is not None:
            self._context.counters.malformed_rows += count

    def take(self, rows: Sequence[MalformedRow]) -> SideOutput | None:
        """Treats the rows (at least one) according to the policy.

        Raises:
            DataFormatError: if the policy is to fail; names the first row.
        """
        if self.policy.on_error == "fail":
            raise DataFormatError(rows[0].message(_ADVICE if self.policy.is_chosen else ""))
        self.skip(len(rows))
        if self.policy.on_error == "folder":
            self._write(rows)
            return None
        arrays = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in MALFORMED_SCHEMA]
        columns = pa.RecordBatch.from_arrays(arrays, schema=MALFORMED_SCHEMA)
        return SideOutput(self.policy.tag, Batch.of_columns(columns, _MALFORMED_TYPE))

    def finish(self) -> None:
        """The normal end of the reader, or a checkpoint: the file of malformed rows, if there are any, becomes visible.

        At-least-once: rows that became visible with a checkpoint that did not complete are written again.
        """
        part, self._part = self._part, None
        if part is not None:
            assert self.policy.folder is not None
            part.publish(os.path.join(self.policy.folder, self._name()))

    def close(self) -> None:
        """Discards what `finish` did not publish."""
        part, self._part = self._part, None
        if part is not None:
            part.discard()

    def _write(self, rows: Sequence[MalformedRow]) -> None:
        folder = self.policy.folder
        assert folder is not None
        if self._part is None:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise ResourceError(f"{folder}: the folder for malformed rows cannot be created: {error}") from error
            self._part = PartFile(folder, self._name())
        names = MALFORMED_SCHEMA.names
        # One call per malformed row: there are few, unless the input has another format than the job expects.
        lines = (json.dumps({name: getattr(row, name) for name in names}, ensure_ascii=False) + "\n" for row in rows)
        self._part.file.write("".join(lines).encode("utf-8", "surrogatepass"))

    def _name(self) -> str:
        """One file per reader and run; the random part keeps those of several runs apart."""
        subtask = 0 if self._context is None else self._context.subtask_index
        return f"malformed-{subtask}-{secrets.token_hex(4)}.jsonl"
