"""Strings read as other types, and other types written as strings, as Flink's `CAST` does."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.expressions.registry import Values
from shmflink.expressions.type_rules import is_bytes, is_text

__all__ = ["from_text", "to_text"]

_TRUE: Final = ("t", "true", "y", "yes", "1")
_FALSE: Final = ("f", "false", "n", "no", "0")


def from_text(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    """Strings as another type. What cannot be read raises `ValueError`, or is null where not strict."""
    if is_text(kind) or is_bytes(kind):
        return pc.cast(values, kind)
    trimmed = pc.utf8_trim_whitespace(values)
    if pa.types.is_boolean(kind):
        return _boolean(trimmed, is_strict=is_strict)
    return pc.cast(trimmed, kind)


def to_text(values: Values, kind: pa.DataType) -> Values:
    """Values as strings."""
    given = values.type
    if pa.types.is_boolean(given):
        return pc.if_else(values, pa.scalar("TRUE", kind), pa.scalar("FALSE", kind))
    if pa.types.is_nested(given):
        raise TypeError(f"{given} cannot become a string: use json_string() or array_join()")
    return pc.cast(values, kind)


def _boolean(values: Values, *, is_strict: bool) -> Values:
    lower = pc.utf8_lower(values)
    is_true = pc.is_in(lower, value_set=pa.array(_TRUE, lower.type))
    is_known = pc.or_(is_true, pc.is_in(lower, value_set=pa.array(_FALSE, lower.type)))
    if is_strict and not pc.all(pc.or_(is_known, pc.is_null(lower))).as_py():
        raise ValueError("it is neither true (t, true, y, yes, 1) nor false (f, false, n, no, 0)")
    return pc.if_else(is_known, is_true, pa.scalar(None, pa.bool_()))
