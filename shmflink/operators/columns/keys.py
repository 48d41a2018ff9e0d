"""Keys that are columns or expressions over columns, for operators that keep state per key and work on records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.core.batch import Batch
from shmflink.core.keys.columns import encode_keys, key_column, key_values
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.row import create_row
from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.errors import InternalError, TypeMismatchError
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.columns.expressions import IncomingColumns
from shmflink.operators.slices import slices_of

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["ColumnKeyExtractor", "ColumnKeys", "KeyAndRowOperator"]

_PAIR: Final = ["f0", "f1"]


@dataclass(frozen=True, slots=True)
class ColumnKeys:
    """Key columns by name, over rows of type `declared`.

    Raises:
        TypeMismatchError: an expression does not fit the columns.
    """

    declared: TypeInformation
    named: tuple[tuple[str, Expression], ...]

    def __post_init__(self) -> None:
        ex.bind([expression for _, expression in self.named], schema_of(self.declared))


class ColumnKeyExtractor(Operator):
    """Sets `Batch.keys`: the values of one column, or tuples of the values of several. Everything else is unchanged."""

    def __init__(self, keys: ColumnKeys) -> None:
        self._keys = keys

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._incoming = IncomingColumns(self._keys.declared, context.operator_name)
        self._bound = ex.bind([expression for _, expression in self._keys.named], self._incoming.schema)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        arrays = self._bound.evaluate(self._incoming.columns(batch))
        try:
            columns = [key_column(array) for array in arrays]
        except TypeMismatchError as error:
            raise TypeMismatchError(f"operator '{self._name}': {error}") from None
        yield batch.with_keys(columns[0] if len(columns) == 1 else _tuples(columns))


class KeyAndRowOperator(Operator):
    """`Row(f0=key, f1=row)`: the form in which a keyed stream is collected."""

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        for piece in slices_of(batch):
            if piece.keys is None:
                raise InternalError(f"operator '{self._name}' got a batch without keys")
            pairs = [
                create_row(_PAIR, (key, row)) for key, row in zip(key_values(piece.keys), piece.rows(), strict=True)
            ]
            yield piece.with_rows(pairs)


def _tuples(columns: list[pa.Array]) -> pa.Array:
    """One key column with tuples of several columns' values; used for operators that work on Python records anyway."""
    return encode_keys(list(zip(*map(key_values, columns), strict=True)))
