"""Builds a `FileScan` from the options of the program: lists the files, examines the first ones, determines the
schema.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias, TypedDict

import pyarrow as pa

from shmflink.connectors.file_system.file_systems import FileInfo, FileSystem
from shmflink.connectors.file_system.reading.changed_files import OnChange
from shmflink.connectors.file_system.reading.columns.known_columns import KnownColumns
from shmflink.connectors.file_system.reading.columns.metadata_columns import metadata_columns
from shmflink.connectors.file_system.reading.columns.partitions import infer_partitions
from shmflink.connectors.file_system.reading.columns.schemas import MergeRule, merge_schemas
from shmflink.connectors.file_system.reading.input_format import FileFormat
from shmflink.connectors.file_system.reading.listing import find_files, require_files
from shmflink.connectors.file_system.reading.scan import FileScan
from shmflink.core.schema_metadata import NO_METADATA, annotated, is_empty, merged_metadata
from shmflink.core.time_units import Duration
from shmflink.errors import ConfigurationError, JobGraphError

__all__ = ["FileOptions", "Partitions", "Paths", "build_scan", "interval_ms_of", "paths_of"]

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Partitions: TypeAlias = Literal["auto"] | pa.Schema | Mapping[str, pa.DataType] | None

_SCHEMA_FILES_MAX: Final = 32
"""Number of files examined for the schema; later files are converted to it as they are read."""


class FileOptions(TypedDict, total=False):
    """The options of all formats.

    - `columns`: names of the columns to read, in this order.
    - `schema`: the columns and types of the files; they are then not inferred.
    - `schema_merge`: how schemas of several files are merged: `strict` (the default if files declare their types),
      `widen` (the default if types are inferred), `widen_to_string`, `first`. The first 32 files are examined. A column
      that a later file lacks is null (an error under `strict`). A column that only later files have is an error, and so
      is a value that does not fit.
    - `partitions`: columns from folders named `key=value`: `"auto"` (the default), their types, or None.
    - `metadata`: columns about the file (`file_path`, `file_name`, `file_size`, `file_modified`, `row_number`), or a
      mapping from these to the columns' names.
    - `monitor_interval`: look for new files at this interval, forever (a Duration, or seconds).
    - `on_change`: what happens if a file has changed since it was listed and a part of it may have been read, in
      particular after a restore: `fail` (the default), or `ignore`, for files that are modified in place.
    - `splits_files`: whether a file may be read by several readers (the default).
    - `storage_options`: options of the URI's file system; `file_system`: a file system of pyarrow or fsspec.
    """

    columns: Sequence[str] | None
    schema: pa.Schema | None
    schema_merge: MergeRule
    partitions: Partitions
    metadata: Sequence[str] | Mapping[str, str]
    monitor_interval: Duration | float | None
    on_change: OnChange
    splits_files: bool
    storage_options: Mapping[str, Any] | None
    file_system: Any


def build_scan(file_format: FileFormat, paths: Sequence[str], files: FileSystem, options: FileOptions) -> FileScan:
    """The scan of files under absolute `paths`.

    Raises:
        JobGraphError: a path does not exist, cannot be read or contains no file; a requested column is missing.
        DataFormatError: the first file cannot have this format, or the files' schemas do not match.
    """
    is_watched = options.get("monitor_interval") is not None
    schema, columns = options.get("schema"), options.get("columns")
    found = find_files(files, paths) if is_watched else require_files(files, paths)
    sample = [info for info in found if info.size][:_SCHEMA_FILES_MAX]
    if sample:
        file_format.check(sample[0].path)
        file_format.require_columns([info.path for info in found if info.size])
    told = _partition_schema(options.get("partitions", "auto"), found, schema)
    rule = options.get("schema_merge", file_format.schema_merge)
    of_files, annotations = _file_schema(file_format, sample, schema, rule, told)
    if schema is None and is_watched:
        annotations = NO_METADATA  # later files may have other metadata
    elif schema is None:
        others = [info for info in found if info.size][1 if rule == "first" else len(sample) :]
        annotations = _annotations_of_all(file_format, others, annotations, told)
    if of_files is None and file_format.produced_type is None:
        raise JobGraphError(_why_no_columns(paths, found, sample))
    if schema is None and columns is None and of_files is not None and rule != "first":
        names = frozenset((*of_files.names, *told.names))
        file_format = copy.copy(file_format)
        file_format.known = KnownColumns(names, rule, frozenset(info.path for info in sample))
    scan = FileScan(files, file_format, of_files, told, metadata_columns(options.get("metadata", ())))
    scan = replace(scan, annotations=annotations)
    scan.check_names()
    return scan if columns is None else _choose(scan, columns)


def paths_of(paths: Paths) -> list[str | os.PathLike[str]]:
    """One path or several as a list; anything else is included so that `FileSystem.absolute` refuses it."""
    given: Any = paths
    is_one = isinstance(given, str | bytes | os.PathLike) or not isinstance(given, Iterable)
    return [given] if is_one else list(given)


def interval_ms_of(interval: Duration | float) -> int:
    """Raises ConfigurationError for an interval that is not positive."""
    millis = interval.to_millis() if isinstance(interval, Duration) else int(interval * 1000)
    if millis < 1:
        raise ConfigurationError(f"monitor_interval must be at least a millisecond, got {interval}")
    return millis


def _partition_schema(partitions: Partitions, found: list[FileInfo], schema: pa.Schema | None) -> pa.Schema:
    if partitions is None:
        return pa.schema([])
    if isinstance(partitions, pa.Schema):
        return partitions
    if not isinstance(partitions, str):
        return pa.schema(list(partitions.items()))
    if partitions != "auto":
        raise ConfigurationError(f"partitions: {partitions!r} is neither 'auto' nor a schema nor None")
    inferred = infer_partitions(info.path for info in found)
    declared = {} if schema is None else {field.name: field for field in schema}
    return pa.schema([declared.get(field.name, field) for field in inferred])


def _file_schema(
    file_format: FileFormat,
    sample: list[FileInfo],
    schema: pa.Schema | None,
    schema_merge: MergeRule,
    partitions: pa.Schema,
) -> tuple[pa.Schema | None, pa.Schema]:
    """The columns (None if no file defines any), and the annotated schema."""
    told = set(partitions.names)
    if schema is not None:
        untold = [field for field in schema if field.name not in told]
        plain = pa.schema([pa.field(field.name, field.type) for field in untold])
        return plain, annotated(pa.schema(untold, schema.metadata))
    schemas = []
    last = pa.schema([])
    for info in sample:
        one = file_format.infer_schema(info.path)
        if one is None:
            return None, NO_METADATA
        if not len(one):
            continue  # a file of blank lines defines no columns and has no rows
        if one.equals(last, check_metadata=True):
            continue  # an equal schema adds nothing, and merging hundreds of columns takes time
        last = one
        schemas.append((info.path, pa.schema([field for field in one if field.name not in told], one.metadata)))
        if schema_merge == "first":
            break
    if not schemas:
        return None, NO_METADATA
    merged = merge_schemas(schemas, schema_merge, of_text=file_format.is_text)
    return merged, merged_metadata([annotated(one) for _, one in schemas])


def _annotations_of_all(
    file_format: FileFormat, others: list[FileInfo], annotations: pa.Schema, partitions: pa.Schema
) -> pa.Schema:
    """The annotated schema of all files, including those outside the sample, whose columns were not compared."""
    told, last = set(partitions.names), pa.schema([])
    for info in others:
        if is_empty(annotations):
            break
        one = file_format.infer_schema(info.path)
        if one is None or not len(one) or one.equals(last, check_metadata=True):
            continue
        last = one
        untold = pa.schema([field for field in one if field.name not in told], one.metadata)
        annotations = merged_metadata([annotations, annotated(untold)])
    return annotations


def _why_no_columns(paths: Sequence[str], found: Sequence[FileInfo], sample: Sequence[FileInfo]) -> str:
    if not found:
        return f"{paths[0]}: there is no file yet from which to infer the columns; give schema="
    first = (sample or found)[0].path
    nothing = "is blank, or has no columns" if sample else "is empty"
    others = f", like {len(found) - 1} more" if len(found) > 1 else ""
    return f"{first}: the file {nothing}{others}: cannot infer the columns; give schema="


def _choose(scan: FileScan, columns: Sequence[str]) -> FileScan:
    schema = scan.schema
    held = set() if schema is None else set(schema.names)
    unknown = [name for name in columns if schema is not None and name not in held]
    if unknown and schema is not None:
        raise JobGraphError(f"columns: there is no column {unknown[0]!r}; the files have {', '.join(schema.names)}")
    chosen = scan.with_columns(columns)
    if chosen is None:
        raise JobGraphError(f"columns: {type(scan.format).__name__} has no columns to choose from")
    return chosen
