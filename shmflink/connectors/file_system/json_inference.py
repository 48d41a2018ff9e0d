"""Types of JSON lines from the first lines of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.file_system.csv_head import SAMPLE_BYTES, read_sample
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.errors import DataFormatError

__all__ = ["infer_json_schema"]

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?")
_INT64: Final = 1 << 63
_DIGITS_OF_MICROSECONDS: Final = 6


def infer_json_schema(
    files: FileSystem, path: str, charset: str, rows_max: int, known: Mapping[str, pa.DataType]
) -> tuple[pa.Schema, int]:
    """The keys of the first lines and the types of their values, `known` ones as they are; how many lines there were.

    Raises:
        DataFormatError: no line of the sample is a JSON object.
    """
    text = read_sample(files, path, charset, SAMPLE_BYTES)
    lines = text.decode("utf-8-sig", "replace").split("\n")
    if len(text) == SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # the sample ends inside it
    kinds: dict[str, pa.DataType] = {}
    rows = 0
    reason = "the file has no lines"
    # A row at a time: there are few.
    for line in lines:
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
            reason = f"a line holds {line.strip()[:60]!r}, which is no object"
            continue
        rows += 1
        for name, value in record.items():
            kinds[name] = _join(kinds.get(name, pa.null()), _type_of(value))
    if not rows:
        raise DataFormatError(f"{path}: no columns can be told: {reason}; give a schema")
    fields = [(name, known.get(name, _settled(kind, is_top=True))) for name, kind in kinds.items()]
    return pa.schema([*fields, *((name, kind) for name, kind in known.items() if name not in kinds)]), rows


def _type_of(value: Any) -> pa.DataType:
    match value:
        case None:
            return pa.null()
        case bool():
            return pa.bool_()
        case int():
            return pa.int64() if -_INT64 <= value < _INT64 else pa.float64()
        case float():
            return pa.float64()
        case str():
            return _type_of_text(value)
        case list():
            return pa.list_(_join_all(map(_type_of, value)))
        case _:
            return pa.struct([(name, _type_of(item)) for name, item in value.items()])


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
    """A type for values of both; a string, which takes any, where there is no other."""
    types = pa.types
    if left.equals(right) or types.is_null(right):
        return left
    if types.is_null(left):
        return right
    if {left, right} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if types.is_list(left) and types.is_list(right):
        return pa.list_(_join(left.value_type, right.value_type))
    if types.is_struct(left) and types.is_struct(right):
        fields = {field.name: field.type for field in left}
        for field in right:
            fields[field.name] = _join(fields.get(field.name, pa.null()), field.type)
        return pa.struct(list(fields.items()))
    if types.is_timestamp(left) and types.is_timestamp(right):
        unit = "ns" if "ns" in (left.unit, right.unit) else "us"
        return pa.timestamp(unit, left.tz or right.tz)
    if types.is_date(left) and types.is_timestamp(right):
        return right
    if types.is_timestamp(left) and types.is_date(right):
        return left
    return pa.string()


def _settled(kind: pa.DataType, *, is_top: bool = False) -> pa.DataType:
    """Without nulls inside, and without objects of no keys: strings, which take what comes."""
    if pa.types.is_null(kind):
        return kind if is_top else pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_settled(kind.value_type))
    if pa.types.is_struct(kind):
        if not kind.num_fields:
            return pa.string()
        return pa.struct([(field.name, _settled(field.type)) for field in kind])
    return kind
