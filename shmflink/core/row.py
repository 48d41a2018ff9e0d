"""`Row` and `RowKind`, with PyFlink's behavior (`pyflink.common.types`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

__all__ = ["Row", "RowKind"]


class RowKind(Enum):
    """The effect of a row on a changelog."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return _KIND_TEXT[self.value]


_KIND_TEXT = ("+I", "-U", "+U", "-D")
_ATTRIBUTES = frozenset({"_fields", "_names", "_values", "_row_kind"})
_set = object.__setattr__


class Row:
    """A record of fixed length, with or without field names.

    ``Row(a=1, b="x")`` has named fields, ``Row(1, "x")`` positions only. ``Row("a", "b")`` also works as a
    row class: ``Row("a", "b")(1, "x")`` is ``Row(a=1, b='x')``. Fields are read as ``row.a``, ``row["a"]``
    and ``row[0]``; ``"a" in row`` looks at the names, or at the values where there are no names. Rows are
    equal when their names (in any order), values and kinds are; a row is never equal to a tuple.

    Raises:
        ValueError: positional and named fields are mixed.
    """

    # The native module sets and reads the fields through the slots' descriptors.
    __slots__ = ("_names", "_row_kind", "_values")

    _names: list[Any] | None
    _values: list[Any]
    _row_kind: RowKind

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("Can not use both args and kwargs to create Row")
        # Bypasses __setattr__, which costs three times as much.
        _set(self, "_names", list(kwargs) if kwargs else None)
        _set(self, "_values", list(kwargs.values()) if kwargs else list(args))
        _set(self, "_row_kind", RowKind.INSERT)

    @property
    def _fields(self) -> list[Any]:
        # PyFlink's rows without names have no such attribute, and programs ask `hasattr(row, "_fields")`.
        if self._names is None:
            raise AttributeError("_fields")
        return self._names

    @_fields.setter
    def _fields(self, names: list[Any]) -> None:
        _set(self, "_names", names)

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **kwargs: Any) -> Row:
        """A row of this kind."""
        row = Row(*args, **kwargs)
        row._row_kind = row_kind
        return row

    def get_row_kind(self) -> RowKind:
        """INSERT by default."""
        return self._row_kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        """Changes the kind in place."""
        self._row_kind = row_kind

    def set_field_names(self, field_names: list[Any]) -> None:
        """Names the fields, in place; the row keeps the list."""
        self._names = field_names

    def get_fields_by_names(self, names: list[str]) -> list[Any]:
        """The values in the order of `names`; all values if the row has no names.

        Raises:
            Exception: a name is not among the row's.
        """
        fields = self._names
        if fields is None or names == fields:
            return self._values
        unknown = [name for name in names if name not in fields]
        if unknown:
            # PyFlink raises a bare Exception here, and programs catch what PyFlink raises.
            raise Exception(f"Field names {unknown} not exist in {fields}.")  # noqa: TRY002 - as PyFlink does
        return [self._values[fields.index(name)] for name in names]

    def as_dict(self, recursive: bool = False) -> dict[Any, Any]:
        """Names to values; `recursive` converts nested rows too.

        Raises:
            TypeError: the row has no field names.
        """
        fields = self._names
        if fields is None:
            raise TypeError("Cannot convert a Row class into dict")
        values = [_as_plain(value) for value in self._values] if recursive else self._values
        return dict(zip(fields, values, strict=False))

    def __call__(self, *args: Any) -> Row:
        """The row as a row class: its values are the names of the new row's fields."""
        if len(args) > len(self._values):
            raise ValueError(
                f"Can not create Row with fields {self}, expected {len(self._values)} values but got {args}"
            )
        return create_row(self._values, args, self._row_kind)

    def __contains__(self, item: Any) -> bool:
        fields = self._names
        return item in (self._values if fields is None else fields)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, slice)):
            return self._values[item]
        position = self._fields.index(item)
        try:
            return self._values[position]
        except IndexError:
            raise KeyError(item) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, (int, slice)):
            self._values[key] = value
            return
        try:
            position = self._fields.index(key)
        except AttributeError:
            raise KeyError(key) from None
        except ValueError:
            raise ValueError(value) from None
        try:
            self._values[position] = value
        except IndexError:
            raise KeyError(key) from None

    def __getattr__(self, item: str) -> Any:
        # Called only for missing attributes, including an unset `_fields`.
        if item.startswith("_"):
            raise AttributeError(item)
        try:
            return self._values[self._fields.index(item)]
        except (IndexError, ValueError):
            raise AttributeError(item) from None

    def __setattr__(self, key: str, value: Any) -> None:
        if key not in _ATTRIBUTES:
            names = self._names
            how = "its fields have no names: set them by position, row[0] = ..."
            if names is not None:
                how = f"write row[{key!r}] = ..." if key in names else f"its fields are {names}"
            raise AttributeError(f"{key}: a Row has no attributes to set (PyFlink's has none, either); {how}")
        object.__setattr__(self, key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        kind = None if self._row_kind is RowKind.INSERT else self._row_kind
        return create_row, (self._names, tuple(self._values), kind)

    def __repr__(self) -> str:
        fields = self._names
        if fields is None:
            return f"<Row({', '.join(map(repr, self._values))})>"
        pairs = zip(fields, self._values, strict=False)
        return f"Row({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row) or type(self) is not type(other):
            return False
        if self._row_kind is not other._row_kind:
            return False
        mine, theirs = self._names, other._names
        if mine == theirs:
            return self._values == other._values
        if mine is None or theirs is None or sorted(mine) != sorted(theirs):
            return False
        return all(self[name] == other[name] for name in mine)

    def __hash__(self) -> int:
        return hash(tuple(self._values))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def create_row(fields: list[Any] | None, values: Sequence[Any], row_kind: RowKind | None = None) -> Row:
    """A row of these values; it keeps the list `fields`. Unpickling calls it."""
    row = Row(*values)
    if fields is not None:
        row.set_field_names(fields)
    if row_kind is not None:
        row.set_row_kind(row_kind)
    return row


def field_names_of(row: Row) -> list[Any] | None:
    """The row's field names, or None if it has only positions."""
    return row._names  # noqa: SLF001  the same module


def _as_plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(True)
    if isinstance(value, list):
        return [_as_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_plain(item) for key, item in value.items()}
    return value
