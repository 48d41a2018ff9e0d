"""Builds JSON from columns: computes the functions of `functions.sql_json`."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import ALIAS
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.sql_json.options import JsonOnNull
from shmflink.expressions.types.coercions import text_where_null
from shmflink.expressions.types.rules import is_text
from shmflink.expressions.vectors import columnwise

__all__ = ["omits_nulls", "split_raw"]


def omits_nulls(on_null: Any, name: str) -> bool:
    """The value of a JsonOnNull argument of the function of this name."""
    if not isinstance(on_null, JsonOnNull):
        raise TypeMismatchError(f"the first argument of {name}() is a JsonOnNull, got {on_null!r}")
    return on_null is JsonOnNull.ABSENT


def split_raw(values: tuple[Any, ...]) -> tuple[list[Any], tuple[bool, ...]]:
    """The values, and which of them are already JSON."""
    plain, raw = [], []
    for value in values:
        inner = value
        while getattr(inner, "function", None) == ALIAS:
            inner = inner.arguments[0]
        function_name = getattr(inner, "function", None)
        raw.append(function_name in ("json", "json_object", "json_array"))
        plain.append(inner.arguments[0] if function_name == "json" else value)
    return plain, tuple(raw)


@function("json", TypeFamily.STRING)
def _json(_text: Values) -> Values:
    raise TypeError("json() is only allowed inside json_object() and json_array()")


@function("json_string", TypeFamily.ANY, coerce=text_where_null)
@function("json_text", TypeFamily.ANY, coerce=text_where_null)
@columnwise
def _json_string(values: pa.Array) -> Values:
    return _core.json_string(values)


@function("raw_json", TypeFamily.STRING, coerce=text_where_null)
def _raw_json(texts: Values) -> Values:
    """JSON text unchanged; empty text is null."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, texts.type), texts)


@function("json_object", TypeFamily.ANY, variadic=True, optional=1, coerce=text_where_null)
def _json_object(*given: Any) -> Values:
    *values, keys, raw, omits_nulls = given
    _check_raw(values, raw)
    if not values:
        return pa.scalar("{}")
    return _objects(*values, keys=list(keys), raw=list(raw), omits_nulls=omits_nulls)


@function("json_array", TypeFamily.ANY, variadic=True, optional=1, coerce=text_where_null)
def _json_array(*given: Any) -> Values:
    *values, raw, omits_nulls = given
    _check_raw(values, raw)
    if not values:
        return pa.scalar("[]")
    return _arrays(*values, raw=list(raw), omits_nulls=omits_nulls)


@columnwise
def _objects(*columns: pa.Array, keys: list[str], raw: list[bool], omits_nulls: bool) -> pa.Array:
    return _core.json_object(keys, list(columns), raw, omits_nulls)


@columnwise
def _arrays(*columns: pa.Array, raw: list[bool], omits_nulls: bool) -> pa.Array:
    return _core.json_array(list(columns), raw, omits_nulls)


def _check_raw(values: list[Values], raw: tuple[bool, ...]) -> None:
    for value, is_raw in zip(values, raw, strict=True):
        if is_raw and not is_text(value.type):
            raise TypeError(f"json() takes a string, not {value.type}")
