"""The result schema of a join on equal columns."""

from __future__ import annotations

from dataclasses import field
from typing import Final, Literal

import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import TypeMismatchError

__all__ = ["HOW", "JoinHow", "JoinSpec", "OutputColumn"]

JoinHow = Literal["inner", "left", "right", "full", "semi", "anti"]
HOW: Final[tuple[JoinHow, ...]] = ("inner", "left", "right", "full", "semi", "anti")


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the result: the left column, the right column, or whichever of both exists in a row."""

    name: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """`left_on[i]` equals `right_on[i]`. `merges_keys`: each pair of keys is one column of the result.

    Raises:
        TypeMismatchError: two keys have different types, or two columns of the result have the same name.
    """

    left: pa.Schema
    right: pa.Schema
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    how: JoinHow
    merges_keys: bool
    suffix: str = "_right"
    columns: tuple[OutputColumn, ...] = field(init=False)

    def __post_init__(self) -> None:
        for left, right in zip(self.left_on, self.right_on, strict=True):
            kinds = self.left.field(left).type, self.right.field(right).type
            if not kinds[0].equals(kinds[1]):
                raise TypeMismatchError(
                    f"join(): `{left}` is {kinds[0]} on the left, `{right}` is {kinds[1]} on the right: cast one of "
                    "them with with_columns() first"
                )
        object.__setattr__(self, "columns", self._columns())

    @property
    def has_right_columns(self) -> bool:
        return self.how not in ("semi", "anti")

    @property
    def schema(self) -> pa.Schema:
        """The columns of the result, all of them nullable."""
        return self.schema_of(self.columns)

    def schema_of(self, columns: tuple[OutputColumn, ...]) -> pa.Schema:
        """The schema of some of the columns."""
        return pa.schema([self._field(column) for column in columns])

    def _field(self, column: OutputColumn) -> pa.Field:
        given = self.left.field(column.left) if column.left is not None else self.right.field(column.right)
        return given.with_name(column.name).with_nullable(True)

    def _columns(self) -> tuple[OutputColumn, ...]:
        merged = dict(zip(self.left_on, self.right_on, strict=True)) if self.merges_keys else {}
        columns = [OutputColumn(name, name, merged.get(name)) for name in self.left.names]
        taken = set(self.left.names)
        for name in self.right.names if self.has_right_columns else ():
            if name in merged.values():
                continue
            shown = name + self.suffix if name in taken else name
            if shown in taken:
                raise TypeMismatchError(
                    f"join(): there would be two columns `{shown}`: rename one of them first, or give another suffix="
                )
            taken.add(shown)
            columns.append(OutputColumn(shown, None, name))
        return tuple(columns)
