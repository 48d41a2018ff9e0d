"""Columns with the origin of a row."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.errors import ConfigurationError

__all__ = ["METADATA_TYPES", "ROW_NUMBER", "file_value", "metadata_columns"]

ROW_NUMBER: Final = "row_number"

METADATA_TYPES: Final[dict[str, pa.DataType]] = {
    "file_path": pa.string(),
    "file_name": pa.string(),
    "file_size": pa.int64(),
    "file_modified": pa.timestamp("ms", "UTC"),
    ROW_NUMBER: pa.int64(),
}
"""The available metadata: the file's path or URI, its name, its size in bytes, its modification time; the row's index
in its file, from 0."""


def metadata_columns(wanted: Sequence[str] | Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(kind, column's name) for names of `METADATA_TYPES`, or a mapping from them to the columns' names.

    Raises:
        ConfigurationError: there is no such metadata column; the message suggests the nearest name.
    """
    named = dict(wanted) if isinstance(wanted, Mapping) else {kind: kind for kind in wanted}
    for kind in named:
        if kind not in METADATA_TYPES:
            near = difflib.get_close_matches(kind, METADATA_TYPES, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"metadata: {kind!r} is not one of {', '.join(METADATA_TYPES)}{hint}")
    return tuple(named.items())


def file_value(kind: str, path: str, files: FileSystem) -> pa.Scalar:
    """The value of a metadata column, other than the row number, for a file."""
    if kind == "file_path":
        return pa.scalar(path)
    if kind == "file_name":
        return pa.scalar(os.path.basename(path))
    info = files.stat(path)
    if kind == "file_size":
        return pa.scalar(None if info is None else info.size, pa.int64())
    is_known = info is not None and info.modified_ns
    return pa.scalar(info.modified_ns // 1_000_000 if info is not None and is_known else None, METADATA_TYPES[kind])
