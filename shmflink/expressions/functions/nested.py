"""Arrays, maps and rows built from values."""

from __future__ import annotations

from typing import Any

from shmflink.errors import TypeMismatchError
from shmflink.expressions.expression import Expression
from shmflink.expressions.nested.rows import names_and_values

__all__ = ["array", "map_", "map_from_arrays", "object_of", "row"]


def array(head: Any, *tail: Any) -> Expression:
    """An array of values of one type.

    >>> show(array(col("a"), col("b"), 0), a=[1, 2], b=[3, None])
    _c0: [[1, 3, 0], [2, None, 0]]
    """
    return Expression.call("array", head, *tail)


def map_(key: Any, value: Any, *tail: Any) -> Expression:
    """A map of alternating keys and values; keys of one type, values of one type.

    >>> show(map_("a", col("a"), "b", col("b")), a=[1], b=[None])
    _c0: [[('a', 1), ('b', None)]]
    """
    if len(tail) % 2:
        raise TypeMismatchError("map_() takes alternating keys and values: the last key has no value")
    return Expression.call("map", key, value, *tail)


def map_from_arrays(key: Any, value: Any) -> Expression:
    """A map from an array of keys and an array of equally many values; null if an array is null.

    >>> show(map_from_arrays(col("k"), col("v")), k=[["x", "y"]], v=[[1, 2]])
    _c0: [[('x', 1), ('y', 2)]]
    """
    return Expression.call("map_from_arrays", key, value)


def row(head: Any, *tail: Any) -> Expression:
    """A row of values, with the fields `f0`, `f1`, ...

    >>> show(row(col("a"), "x"), a=[1])
    _c0: [{'f0': 1, 'f1': 'x'}]
    """
    names = tuple(f"f{index}" for index in range(1 + len(tail)))
    return Expression.call("row", head, *tail, parameters=(names,))


def object_of(class_name: str, *args: Any) -> Expression:
    """A row of alternating names (constants) and values. The name of a class is accepted for portability and not kept.

    >>> show(object_of("User", "name", col("a"), "age", 30), a=["Alice"])
    _c0: [{'name': 'Alice', 'age': 30}]
    """
    if not isinstance(class_name, str):
        raise TypeMismatchError(f"the first argument of object_of() is the name of a class, got {class_name!r}")
    names, values = names_and_values(args, "object_of")
    return Expression.call("row", *values, parameters=(names,))
