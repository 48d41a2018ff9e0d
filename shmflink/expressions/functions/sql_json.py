"""JSON built from columns: strings, objects, arrays."""

from __future__ import annotations

from typing import Any

from shmflink.errors import TypeMismatchError
from shmflink.expressions.expression import Expression
from shmflink.expressions.sql_json.building import omits_nulls, split_raw
from shmflink.expressions.sql_json.options import JsonOnNull
from shmflink.expressions.vectors import literal_value

__all__ = ["json", "json_array", "json_array_agg", "json_object", "json_object_agg", "json_string"]


def json(value: Any) -> Expression:
    """JSON text that `json_object` or `json_array` inserts unchanged; allowed only inside these. Null or empty is null.

    >>> show(json_object(JsonOnNull.NULL, "nested", json(col("a"))), a=['{"value": 42}', ""])
    _c0: ['{"nested":{"value":42}}', '{"nested":null}']
    """
    return Expression.call("json", value)


def json_string(value: Any) -> Expression:
    """A value of any type as JSON: dates and times as ISO 8601, bytes as base64, rows as objects. Null stays null.

    >>> show(json_string(col("a")), a=[[1, None], None])
    _c0: ['[1,null]', None]
    """
    return Expression.call("json_string", value)


def json_object(on_null: JsonOnNull = JsonOnNull.NULL, *args: Any) -> Expression:
    """A JSON object of alternating keys (constants) and values. Nested objects and arrays are not quoted.

    If a key is given twice, the last value counts. NaN and infinity are strings, as in Flink.

    >>> show(json_object(JsonOnNull.ABSENT, "id", col("a"), "name", col("b")), a=[1, 2], b=["x", None])
    _c0: ['{"id":1,"name":"x"}', '{"id":2}']
    """
    if len(args) % 2:
        raise TypeMismatchError(
            f"json_object() takes alternating keys and values: an even number of arguments, got {len(args)}"
        )
    keys = [literal_value(key, "a key of json_object()") for key in args[::2]]
    for key in keys:
        if not isinstance(key, str):
            raise TypeMismatchError(f"a key of json_object() is a string, got {key!r}")
    members = dict(zip(keys, args[1::2], strict=True))
    values, raw = split_raw(tuple(members.values()))
    return Expression.call(
        "json_object", *values, parameters=(tuple(members), raw, omits_nulls(on_null, "json_object"))
    )


def json_array(on_null: JsonOnNull = JsonOnNull.ABSENT, *args: Any) -> Expression:
    """A JSON array of values. Nested objects and arrays are not quoted.

    >>> show(json_array(JsonOnNull.NULL, col("a"), json_array(JsonOnNull.NULL, "x")), a=[1, None])
    _c0: ['[1,["x"]]', '[null,["x"]]']
    """
    values, raw = split_raw(args)
    return Expression.call("json_array", *values, parameters=(raw, omits_nulls(on_null, "json_array")))


def json_object_agg(on_null: JsonOnNull, key: Any, value: Any) -> Expression:
    """An aggregate: a JSON object of the keys and values of all rows of a group, in the order of arrival.

    A null or duplicate key fails the job, as in Flink.

    >>> json_object_agg(JsonOnNull.NULL, col("name"), col("n"))
    <Expression json_object_agg(array_agg(name), array_agg(json_text(n)), False)>
    """
    is_without = omits_nulls(on_null, "json_object_agg")
    values = Expression.call("array_agg", _json_text(value))
    return Expression.call("json_object_agg", Expression.call("array_agg", key), values, parameters=(is_without,))


def json_array_agg(on_null: JsonOnNull, value: Any) -> Expression:
    """An aggregate: a JSON array of the values of all rows of a group; ABSENT omits nulls.

    >>> json_array_agg(JsonOnNull.ABSENT, col("n"))
    <Expression json_array_agg(collect(json_text(n)))>
    """
    gathering = "collect" if omits_nulls(on_null, "json_array_agg") else "array_agg"
    return Expression.call("json_array_agg", Expression.call(gathering, _json_text(value)))


def _json_text(value: Any) -> Expression:
    """The value as JSON; JSON that was built is unchanged."""
    (plain,), (is_raw,) = split_raw((value,))
    return Expression.call("raw_json", plain) if is_raw else Expression.call("json_text", plain)
