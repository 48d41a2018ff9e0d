"""Checks arguments of stream methods when the method is called; errors say what to write instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.record_functions import Function, KeySelector, Partitioner
from shmflink.errors import JobGraphError
from shmflink.expressions.node import Node

__all__ = [
    "check_data",
    "check_frame",
    "check_function",
    "check_key_selector",
    "check_partitioner",
    "check_process_function",
    "checked_type",
    "join_keys",
    "what_instead",
]

_METHODS: Final = {
    ("pandas", "DataFrame"): "from_pandas",
    ("polars", "DataFrame"): "from_polars",
    ("pyarrow", "Table"): "from_arrow",
    ("pyarrow", "RecordBatch"): "from_arrow",
}


def check_function(func: Any, kind: type | None, message: str) -> None:
    """Accepts callables and objects of `kind`.

    Raises:
        TypeError: `message`, with what was given.
    """
    if isinstance(func, type) and issubclass(func, Function):
        raise TypeError(f"{message}, got the class {func.__name__}: pass an object of it, {func.__name__}()")
    if isinstance(func, Node):
        raise TypeError(
            f"{message}; `{func}` is an expression: filter(), select() and with_columns() accept expressions"
        )
    if callable(func) or (kind is not None and isinstance(func, kind)):
        return
    if isinstance(func, str):
        raise TypeError(f"{message}, got {func!r}: filter() also accepts an expression, such as col('x') > 3")
    raise TypeError(f"{message}, got {func!r}")


def check_key_selector(key_selector: Any) -> None:
    """Accepts callables and KeySelectors; otherwise raises TypeError."""
    check_function(
        key_selector, KeySelector, "Parameter key_selector should be type of KeySelector or a callable function."
    )


def what_instead(given: Any, of_path: str) -> str:
    """What was given instead of a source or sink, and what to write; `of_path`: the call that makes one from a path."""
    if isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        return f"got the path {path!r}: write {of_path.format(repr(path))}, or use the method of another format"
    if isinstance(given, type):
        return f"got the class {given.__name__}: pass an object of it"
    if callable(getattr(given, "build", None)):
        return f"got {type(given).__name__}: call its build()"
    return f"got {given!r:.120}"


def checked_type(declared: Any) -> TypeInformation | None:
    """A declared type, or None.

    Raises:
        TypeError: it is something else, for example a Python type.
    """
    if declared is not None and not isinstance(declared, TypeInformation):
        raise TypeError(f"declare a type with shmflink.common.Types, for example Types.INT(); got {declared!r}")
    return declared


def check_process_function(func: Any, kinds: type | tuple[type, ...], method: str = "process_element") -> None:
    """Accepts objects of these classes, and objects that have their method.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(func, kinds) or callable(getattr(func, method, None)):
        return
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    raise TypeError(f"The input must be a {names}, got {func!r}")


def check_partitioner(partitioner: Any) -> None:
    """Accepts callables and Partitioners.

    Raises:
        TypeError: it is something else.
        JobGraphError: it overrides `open` or `close`.
    """
    message = "Parameter partitioner should be type of Partitioner or a callable function."
    check_function(partitioner, Partitioner, message)
    refuse_coroutines(partitioner)
    kind = type(partitioner)
    if isinstance(partitioner, Partitioner) and (kind.open is not Function.open or kind.close is not Function.close):
        raise JobGraphError(
            f"partition_custom(): {kind.__name__} overrides open() or close(), which are not called for a "
            "partitioner; create what it needs in the first call of partition()"
        )


def check_data(data: Any, method: str) -> None:
    """Accepts iterables, except a stream, whose rows only a job computes, and a table, which iterates over its columns.

    Raises:
        TypeError: it is something else.
    """
    kind = type(data)
    if isinstance(data, SaysWhatIsMissing):
        raise TypeError(f"{method}() takes data, got a {kind.__name__}: call the methods of that stream")
    package = kind.__module__.partition(".")[0]
    instead = _METHODS.get((package, kind.__name__))
    if instead is not None and instead != method:
        raise TypeError(f"{method}() would use the columns of this {kind.__name__} as elements: write {instead}()")
    if not isinstance(data, Iterable):
        raise TypeError(f"{method}() takes data, {what_instead(data, 'env.read_parquet({0})')}")


def check_frame(frame: Any, package: str, method: str) -> None:
    """Accepts a DataFrame of this package.

    Raises:
        TypeError: it is something else, for example a lazy frame.
    """
    module = sys.modules.get(package)  # a program that holds a frame has imported the package
    if module is not None and isinstance(frame, module.DataFrame):
        return
    kind = type(frame)
    how = f": write {method}(frame.collect())" if kind.__name__ == "LazyFrame" else ""
    raise TypeError(f"{method}() takes a {package}.DataFrame, got {kind.__module__}.{kind.__qualname__}{how}")


def join_keys(
    on: str | Sequence[str] | None, left_on: str | Sequence[str] | None, right_on: str | Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The key columns of both sides.

    Raises:
        TypeError: neither form is complete, or both are given; a key is not a name.
        ValueError: there is no key column, or the sides have different numbers of key columns.
    """
    if (on is None) == (left_on is None or right_on is None) or (on is not None and (left_on or right_on)):
        raise TypeError('join(): give on="name" or on=["a", "b"], or both left_on= and right_on=')
    sides = [_names(each) for each in ((on, on) if on is not None else (left_on, right_on))]
    if not sides[0] or len(sides[0]) != len(sides[1]):
        raise ValueError(f"join(): {len(sides[0])} key columns on the left, {len(sides[1])} on the right")
    return sides[0], sides[1]


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...]:
    names = (columns,) if isinstance(columns, str) else tuple(columns or ())
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"join(): keys are names of columns, got {name!r}; compute a column with with_columns() first"
            )
    return names
