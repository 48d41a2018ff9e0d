"""Types of JSON lines from the first lines of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.csv.head import SAMPLE_BYTES, read_sample
from shmflink.connectors.file_system.reading.columns.wider_types import changed_type, wider_type
from shmflink.errors import DataFormatError

__all__ = ["infer_json_schema"]

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?")
_INT64: Final = 1 << 63
_UINT64: Final = 1 << 64
_DECIMAL: Final = 10**38
_COUNT: Final = pa.uint32()  # placeholder for non-negative int64 values until all values are known
_RECORD_BYTES_MAX: Final = 64 << 20  # as in the readers
_DIGITS_OF_MICROSECONDS: Final = 6


def infer_json_schema(
    files: FileSystem, path: str, charset: str, rows_max: int, known: Mapping[str, pa.DataType]
) -> tuple[pa.Schema, int]:
    """The keys of the first lines with the types of their values (`known` ones unchanged), and the number of lines.

    A value that is null in all lines has the null type, also inside objects and arrays. Without lines, only the known
    keys.

    Raises:
        DataFormatError: no line of the sample is a JSON object.
    """
    kinds: dict[str, pa.DataType] = {}
    rows = 0
    reason = None
    # A loop per row: the sample is small.
    for line in _sample_lines(files, path, charset):
        if rows == rows_max:
            break
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"the first line is malformed: {error}"
            continue
        if not isinstance(record, dict):
            reason = f"a line holds {line.strip()[:60]!r}, which is not an object"
            continue
        rows += 1
        for name, value in record.items():
            kind, held = _type_of(value), kinds.get(name)
            if held is None or not held.equals(kind):
                kinds[name] = kind if held is None else _join(held, kind)
    if not rows and reason is not None:
        raise DataFormatError(f"{path}: cannot infer the columns: {reason}; give a schema")
    fields = [(name, known.get(name) or changed_type(kind, _counted)) for name, kind in kinds.items()]
    return pa.schema([*fields, *((name, kind) for name, kind in known.items() if name not in kinds)]), rows


def _sample_lines(files: FileSystem, path: str, charset: str) -> list[str]:
    """Whole lines from the start of a file; at least one if the file has one."""
    for size in (SAMPLE_BYTES, 8 * SAMPLE_BYTES, _RECORD_BYTES_MAX):
        text = read_sample(files, path, charset, size)
        lines = text.decode("utf-8-sig", "replace").split("\n")
        if len(text) < size:
            return lines
        if len(lines) > 1:
            return lines[:-1]  # the sample ends inside the last
    return lines


def _type_of(value: Any) -> pa.DataType:
    match value:
        case None:
            return pa.null()
        case bool():
            return pa.bool_()
        case int():
            return _type_of_whole(value)
        case float():
            return pa.float64()
        case str():
            return _type_of_text(value)
        case list():
            return pa.list_(_join_all(map(_type_of, value)))
        case _:
            return pa.struct([(name, _type_of(item)) for name, item in value.items()])


def _type_of_whole(value: int) -> pa.DataType:
    """A type that represents the number exactly."""
    if -_INT64 <= value < _INT64:
        return _COUNT if value >= 0 else pa.int64()
    if 0 < value < _UINT64:
        return pa.uint64()
    return pa.decimal128(38, 0) if -_DECIMAL < value < _DECIMAL else pa.string()


def _counted(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if kind == _COUNT else kind


def _type_of_text(text: str) -> pa.DataType:
    if _DATE.fullmatch(text):
        return pa.date32()
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return pa.string()
    is_fine = len(found[2] or "") > _DIGITS_OF_MICROSECONDS + 1
    return pa.timestamp("ns" if is_fine else "us", "UTC" if found[3] else None)


def _join_all(kinds: Iterable[pa.DataType]) -> pa.DataType:
    joined = pa.null()
    for kind in kinds:
        joined = _join(joined, kind)
    return joined


def _join(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """A type for the values of both; string, which represents any value, if there is no other."""
    joined = wider_type(left, right, of_text=True, otherwise=pa.string())
    assert joined is not None, (left, right)
    return joined
