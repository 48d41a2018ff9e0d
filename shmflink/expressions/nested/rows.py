"""Rows inside rows (structs): building them, their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.vectors import columnwise, literal_value

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["RowMethods", "object_of", "row"]


class RowMethods:
    """Functions of rows inside rows."""

    __slots__ = ()

    def get(self, name_or_index: str | int) -> Expression:
        """A field of a row, by its name or its index from 0 on; null where the row is null.

        >>> show(col("r").get("x"), col("r").get(1), r=[{"x": 1, "y": "a"}, None])
        _c0: [1, None]
        _c1: ['a', None]
        """
        field = literal_value(name_or_index, "a field's name or index")
        if not isinstance(field, (str, int)):
            raise TypeMismatchError(f"get() takes a field's name or index, got {field!r}")
        return call("get", self, parameters=(field,))

    @property
    def flatten(self) -> NoReturn:
        """Not there: an expression is one column.

        Raises:
            TypeMismatchError: always; says what to do instead.
        """
        raise TypeMismatchError(f"`{self}`.flatten would be several columns: take each field by .get('name')")

    def object_update(self, *kv: Any) -> Expression:
        """The row with other values for some of its fields: names (constants) and values in turn.

        >>> show(col("r").object_update("x", col("r").get("x") + 1), r=[{"x": 1, "y": "a"}])
        _c0: [{'x': 2, 'y': 'a'}]
        """
        names, values = _pairs(kv, "object_update")
        return call("object_update", self, *values, parameters=(names,))


def row(head: Any, *tail: Any) -> Expression:
    """A row of values, with the fields `f0`, `f1`, ...

    >>> show(row(col("a"), "x"), a=[1])
    _c0: [{'f0': 1, 'f1': 'x'}]
    """
    names = tuple(f"f{index}" for index in range(1 + len(tail)))
    return call("row", head, *tail, parameters=(names,))


def object_of(class_name: str, *args: Any) -> Expression:
    """A row with names (constants) and values in turn. The name of a class is for portability alone; it is not kept.

    >>> show(object_of("User", "name", col("a"), "age", 30), a=["Alice"])
    _c0: [{'name': 'Alice', 'age': 30}]
    """
    if not isinstance(class_name, str):
        raise TypeMismatchError(f"object_of() takes the name of a class first, got {class_name!r}")
    names, values = _pairs(args, "object_of")
    return call("row", *values, parameters=(names,))


def _pairs(given: tuple[Any, ...], name: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    if not given or len(given) % 2:
        raise TypeMismatchError(f"{name}() takes names and values in turn, got {len(given)} of them")
    names = tuple(literal_value(field, f"a field's name of {name}()") for field in given[::2])
    if not all(isinstance(field, str) for field in names) or len(set(names)) < len(names):
        raise TypeMismatchError(f"{name}(): names are strings, each once; got {names!r}")
    return names, given[1::2]


@function("get", Kind.STRUCT)
def _get(container: Values, field: str | int) -> Values:
    kind = container.type
    if pa.types.is_null(kind):
        return container
    names = [kind.field(index).name for index in range(kind.num_fields)]
    index = names.index(field) if field in names else field
    if not isinstance(index, int) or not 0 <= index < len(names):
        raise TypeError(f"there is no field {field!r}; the fields are {', '.join(names)}")
    return pc.struct_field(container, index)


@function("row", Kind.ANY, variadic=True)
@columnwise
def _row(*given: Any) -> pa.Array:
    *columns, names = given
    return pa.StructArray.from_arrays(columns, names=list(names))


@function("object_update", Kind.STRUCT, Kind.ANY, variadic=True)
@columnwise
def _object_update(container: pa.Array, *given: Any) -> pa.Array:
    *values, names = given
    known = [container.type.field(index).name for index in range(container.type.num_fields)]
    columns = dict(zip(known, container.flatten(), strict=True))
    for name, value in zip(names, values, strict=True):
        if name not in columns:
            raise TypeError(f"there is no field {name!r}; the fields are {', '.join(known)}")
        columns[name] = value.cast(columns[name].type)
    mask = container.is_null() if container.null_count else None
    return pa.StructArray.from_arrays(list(columns.values()), names=known, mask=mask)
