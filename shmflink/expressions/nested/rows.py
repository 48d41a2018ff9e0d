"""Rows inside rows (structs): building them, accessing their fields."""

from __future__ import annotations

from typing import Any, NoReturn, Self

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.vectors import columnwise, literal_value

__all__ = ["RowMethods", "names_and_values"]


class RowMethods(Node):
    """Functions of rows inside rows."""

    __slots__ = ()

    def get(self, name_or_index: str | int) -> Self:
        """A field of a row, by name or by index from 0 on; null if the row is null.

        >>> show(col("r").get("x"), col("r").get(1), r=[{"x": 1, "y": "a"}, None])
        _c0: [1, None]
        _c1: ['a', None]
        """
        field = literal_value(name_or_index, "a field's name or index")
        if not isinstance(field, (str, int)):
            raise TypeMismatchError(f"get() takes a field's name or index, got {field!r}")
        return self.call("get", self, parameters=(field,))

    @property
    def flatten(self) -> NoReturn:
        """Not supported: an expression is one column.

        Raises:
            TypeMismatchError: always; says what to do instead.
        """
        raise TypeMismatchError(f"`{self}`.flatten would be several columns: take each field with .get('name')")

    def object_update(self, *kv: Any) -> Self:
        """The row with other values for some of its fields: alternating names (constants) and values.

        >>> show(col("r").object_update("x", col("r").get("x") + 1), r=[{"x": 1, "y": "a"}])
        _c0: [{'x': 2, 'y': 'a'}]
        """
        names, values = names_and_values(kv, "object_update")
        return self.call("object_update", self, *values, parameters=(names,))


def names_and_values(given: tuple[Any, ...], name: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """The alternating names (constants) and values that were passed to the function called `name`."""
    if not given or len(given) % 2:
        raise TypeMismatchError(
            f"{name}() takes alternating names and values: an even number of arguments, got {len(given)}"
        )
    names = tuple(literal_value(field, f"a field's name of {name}()") for field in given[::2])
    if not all(isinstance(field, str) for field in names) or len(set(names)) < len(names):
        raise TypeMismatchError(f"{name}(): names are distinct strings; got {names!r}")
    return names, given[1::2]


@function("get", TypeFamily.STRUCT)
def _get(container: Values, field: str | int) -> Values:
    kind = container.type
    if pa.types.is_null(kind):
        return container
    names = [kind.field(index).name for index in range(kind.num_fields)]
    index = names.index(field) if field in names else field
    if not isinstance(index, int) or not 0 <= index < len(names):
        raise TypeError(f"there is no field {field!r}; the fields are {', '.join(names)}")
    return pc.struct_field(container, index)


@function("row", TypeFamily.ANY, variadic=True)
@columnwise
def _row(*given: Any) -> pa.Array:
    *columns, names = given
    return pa.StructArray.from_arrays(columns, names=list(names))


@function("object_update", TypeFamily.STRUCT, TypeFamily.ANY, variadic=True)
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
