"""Columns from folder names: `year=2024/month=01/part-0.parquet` (Hive partitioning)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.errors import DataFormatError

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["infer_partitions", "partition_values", "prune_files"]

NULL_NAME: Final = "__HIVE_DEFAULT_PARTITION__"

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def infer_partitions(paths: Iterable[str]) -> pa.Schema:
    """The columns of these files' folders, in the order of the folders.

    A column of integers is int64, a column of dates is date32, any other is a string.
    """
    values: dict[str, set[str]] = {}
    for folder in dict.fromkeys(path.rpartition("/")[0] for path in paths):
        for name, value in _parts(folder):
            values.setdefault(name, set()).add(value)
    return pa.schema([(name, _type_of(found - {NULL_NAME})) for name, found in values.items()])


def partition_values(path: str, partitions: pa.Schema) -> list[pa.Scalar]:
    """The values in a file's folder names; null for a column that no folder names.

    Raises:
        DataFormatError: a value is not of its column's type.
    """
    told = dict(_parts(path.rpartition("/")[0]))
    return [_scalar(told.get(field.name), field, path) for field in partitions]


def prune_files(files: Sequence[FileInfo], partitions: pa.Schema, predicate: Expression | None) -> list[FileInfo]:
    """The files for whose folders the predicate is true; it uses only partition columns."""
    if predicate is None or not files:
        return list(files)
    rows = [partition_values(info.path, partitions) for info in files]
    columns = [pa.array([row[index].as_py() for row in rows], field.type) for index, field in enumerate(partitions)]
    batch = pa.RecordBatch.from_arrays(columns, schema=partitions)
    (mask,) = ex.bind([predicate], partitions).evaluate(batch)
    return [info for info, is_kept in zip(files, mask.to_pylist(), strict=True) if is_kept]


def _parts(folder: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in folder.split("/")]
    return [(unquote(name), unquote(value)) for name, equals, value in pairs if equals and name]


def _type_of(values: set[str]) -> pa.DataType:
    if values and all(_INTEGER.fullmatch(value) for value in values):
        return pa.int64()
    if values and all(_DATE.fullmatch(value) for value in values):
        return pa.date32()
    return pa.string()


def _scalar(text: str | None, field: pa.Field, path: str) -> pa.Scalar:
    if text is None or text == NULL_NAME:
        return pa.scalar(None, field.type)
    try:
        return pa.scalar(text).cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataFormatError(
            f"{path}: the folder name {field.name}={text} is not a valid {field.type}: {error}; give partitions= a type"
        ) from error
