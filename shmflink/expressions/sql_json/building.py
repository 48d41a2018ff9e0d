"""JSON built from columns: strings, objects, arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shmflink import _core
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import ALIAS, call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.sql_json.options import JsonOnNull
from shmflink.expressions.types.coercions import text_where_null
from shmflink.expressions.types.rules import is_text
from shmflink.expressions.vectors import columnwise, literal_value

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["json", "json_array", "json_array_agg", "json_object", "json_object_agg", "json_string"]


def json(value: Any) -> Expression:
    """JSON text to be put as it is into `json_object` or `json_array`, the only places for it; null or empty is null.

    >>> show(json_object(JsonOnNull.NULL, "nested", json(col("a"))), a=['{"value": 42}', ""])
    _c0: ['{"nested":{"value":42}}', '{"nested":null}']
    """
    return call("json", value)


def json_string(value: Any) -> Expression:
    """A value of any type as JSON: dates and times as ISO 8601, bytes as base64, rows as objects. Null stays null.

    >>> show(json_string(col("a")), a=[[1, None], None])
    _c0: ['[1,null]', None]
    """
    return call("json_string", value)


def json_object(on_null: JsonOnNull = JsonOnNull.NULL, *args: Any) -> Expression:
    """A JSON object of alternating keys (constants) and values. Objects and arrays built inside it stay what they are.

    Of a key that is given twice, the last value counts. NaN and infinity are strings, as in Flink.

    >>> show(json_object(JsonOnNull.ABSENT, "id", col("a"), "name", col("b")), a=[1, 2], b=["x", None])
    _c0: ['{"id":1,"name":"x"}', '{"id":2}']
    """
    if len(args) % 2:
        raise TypeMismatchError(f"json_object() takes keys and values in turn, got {len(args)} of them")
    keys = [literal_value(key, "a key of json_object()") for key in args[::2]]
    for key in keys:
        if not isinstance(key, str):
            raise TypeMismatchError(f"a key of json_object() is a string, got {key!r}")
    members = dict(zip(keys, args[1::2], strict=True))
    values, raw = _split_raw(tuple(members.values()))
    return call("json_object", *values, parameters=(tuple(members), raw, _omits_nulls(on_null, "json_object")))


def json_array(on_null: JsonOnNull = JsonOnNull.ABSENT, *args: Any) -> Expression:
    """A JSON array of values. Objects and arrays built inside it stay what they are.

    >>> show(json_array(JsonOnNull.NULL, col("a"), json_array(JsonOnNull.NULL, "x")), a=[1, None])
    _c0: ['[1,["x"]]', '[null,["x"]]']
    """
    values, raw = _split_raw(args)
    return call("json_array", *values, parameters=(raw, _omits_nulls(on_null, "json_array")))


def json_object_agg(on_null: JsonOnNull, key: Any, value: Any) -> Expression:
    """An aggregate: a JSON object of the keys and values of all rows of a group, in the order in which they come.

    A key that is null, or there twice, fails the job, as in Flink.

    >>> json_object_agg(JsonOnNull.NULL, col("name"), col("n"))
    <Expression json_object_agg(array_agg(name), array_agg(json_text(n)), False)>
    """
    omits_nulls = _omits_nulls(on_null, "json_object_agg")
    values = call("array_agg", _json_text(value))
    return call("json_object_agg", call("array_agg", key), values, parameters=(omits_nulls,))


def json_array_agg(on_null: JsonOnNull, value: Any) -> Expression:
    """An aggregate: a JSON array of the values of all rows of a group; without nulls where they are ABSENT.

    >>> json_array_agg(JsonOnNull.ABSENT, col("n"))
    <Expression json_array_agg(collect(json_text(n)))>
    """
    gathering = "collect" if _omits_nulls(on_null, "json_array_agg") else "array_agg"
    return call("json_array_agg", call(gathering, _json_text(value)))


def _json_text(value: Any) -> Expression:
    """The value as JSON; JSON that was built is what it is."""
    (plain,), (is_raw,) = _split_raw((value,))
    return call("raw_json", plain) if is_raw else call("json_text", plain)


def _omits_nulls(on_null: Any, name: str) -> bool:
    if not isinstance(on_null, JsonOnNull):
        raise TypeMismatchError(f"{name}() takes a JsonOnNull first, got {on_null!r}")
    return on_null is JsonOnNull.ABSENT


def _split_raw(values: tuple[Any, ...]) -> tuple[list[Any], tuple[bool, ...]]:
    """The values, and which of them are JSON already."""
    plain, raw = [], []
    for value in values:
        inner = value
        while getattr(inner, "function", None) == ALIAS:
            inner = inner.arguments[0]
        function_name = getattr(inner, "function", None)
        raw.append(function_name in ("json", "json_object", "json_array"))
        plain.append(inner.arguments[0] if function_name == "json" else value)
    return plain, tuple(raw)


@function("json", Kind.STRING)
def _json(_text: Values) -> Values:
    raise TypeError("json() can stand inside json_object() and json_array() only")


@function("json_string", Kind.ANY, coerce=text_where_null)
@function("json_text", Kind.ANY, coerce=text_where_null)
@columnwise
def _json_string(values: pa.Array) -> Values:
    return _core.json_string(values)


@function("raw_json", Kind.STRING, coerce=text_where_null)
def _raw_json(texts: Values) -> Values:
    """JSON text as it is; empty text is null."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, texts.type), texts)


@function("json_object", Kind.ANY, variadic=True, optional=1, coerce=text_where_null)
def _json_object(*given: Any) -> Values:
    *values, keys, raw, omits_nulls = given
    _check_raw(values, raw)
    if not values:
        return pa.scalar("{}")
    return _objects(*values, keys=list(keys), raw=list(raw), omits_nulls=omits_nulls)


@function("json_array", Kind.ANY, variadic=True, optional=1, coerce=text_where_null)
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
