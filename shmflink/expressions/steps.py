"""Evaluates bound expressions: passes a batch through all steps, and reports values for which a function fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import taken
from shmflink.errors import DataFormatError, InternalError
from shmflink.expressions.encoded import Encoded, decoded, encoded, same_codes
from shmflink.expressions.node import Node
from shmflink.expressions.registry import ScalarFunction, Values
from shmflink.expressions.vectors import repeated

__all__ = ["EXPECTED_ERRORS", "BoundExpressions", "BoundNode"]

EXPECTED_ERRORS: Final = (pa.ArrowException, ValueError, TypeError, ArithmeticError)
"""The exceptions that functions raise for invalid values and types."""

# by index, because only columns that are accessed are created, which matters for wide tables
_Columns: TypeAlias = pa.RecordBatch | Mapping[int, pa.Array]
_VALUE_SHOWN_MAX: Final = 80  # characters of an offending value in a message


@dataclass(frozen=True, slots=True)
class BoundNode:
    """One distinct node: a column, a constant, or a function of earlier steps."""

    node: Node
    kind: pa.DataType
    function: ScalarFunction | None = None
    inputs: tuple[int, ...] = ()
    column: int | None = None
    constant: pa.Scalar | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    """Represents the values of a step that failed, in case they are not needed.

    `positions` are the rows of the batch to which `inputs` belong; None = all rows.
    """

    step: BoundNode
    error: Exception
    inputs: list[Values]
    rows: int
    positions: npt.NDArray[np.int64] | None = None

    def within(self, positions: npt.NDArray[np.int64]) -> _Failure:
        """The same failure, relative to the batch from which these rows were taken."""
        mine = positions if self.positions is None else positions[self.positions]
        return _Failure(self.step, self.error, self.inputs, self.rows, mine)


class BoundExpressions:
    """Expressions that fit a schema. Equal parts of different expressions are computed once per batch.

    Attributes:
        fields: names and types of the results.
        columns: the names of the input columns that are used.
    """

    def __init__(self, steps: list[BoundNode], outputs: list[int], schema: pa.Schema, fields: pa.Schema) -> None:
        """Created by `bind`."""
        self._steps = steps
        self._outputs = outputs
        self._schema = schema
        self.fields = fields
        names = schema.names  # every access creates the list again
        self.columns = frozenset(names[step.column] for step in steps if step.column is not None)

    @property
    def constants(self) -> list[pa.Scalar | None]:
        """For each expression its value if it is the same for all rows of all batches, else None."""
        return [self._steps[output].constant for output in self._outputs]

    def evaluate(self, batch: pa.RecordBatch, *, encoded_max: int = 0) -> list[pa.Array]:
        """One array of `batch.num_rows` for each expression. The batch has the schema that was bound; its columns may
        be dictionaries of the types there. So may be the first `encoded_max` of the arrays.

        Raises:
            DataFormatError: a function fails for a value; names expression, place, row and value.
        """
        if batch.num_columns != len(self._schema):
            raise InternalError(f"bound to {self._schema.names}, given a batch of {batch.schema.names}")
        rows = batch.num_rows
        values = self._run(batch, rows, None)
        arrays: list[pa.Array] = []
        for index, output in enumerate(self._outputs):
            value = values[output]
            is_kept = index < encoded_max and isinstance(value, Encoded)
            arrays.append(value.dictionary() if is_kept else self._output(value, rows, index))
        return arrays

    def _output(self, value: Values, rows: int, index: int) -> pa.Array:
        value = decoded(value)
        if isinstance(value, pa.Array):
            return value
        if isinstance(value, _Failure):
            raise DataFormatError(_message(value, self._steps[self._outputs[index]].node)) from value.error
        if isinstance(value, pa.ChunkedArray):
            return value.combine_chunks()
        return repeated(value, rows)

    def _run(self, columns: _Columns, rows: int, wanted: frozenset[int] | None) -> list[Values]:
        """The values of every step, or of the requested ones."""
        values: list[Values] = []
        is_failed = is_encoded = False
        for index, step in enumerate(self._steps):
            if step.constant is not None:
                value: Values = step.constant
            elif wanted is not None and index not in wanted:
                value = None
            elif step.column is not None:
                value = columns[step.column]
                if isinstance(value, pa.DictionaryArray) and not pa.types.is_dictionary(step.kind):
                    value = encoded(value)
                    is_encoded = is_encoded or isinstance(value, Encoded)
            else:
                assert step.function is not None
                inputs = [values[i] for i in step.inputs]
                if is_encoded:
                    value = _on_values(step, step.function, inputs)
                    if value is not None:
                        values.append(value)
                        continue
                    inputs = [decoded(given) for given in inputs]
                if is_failed and any(isinstance(given, _Failure) for given in inputs):
                    inputs, failure = self._recovered(step, inputs, columns, rows)
                    if failure is not None:
                        values.append(failure)
                        continue
                try:
                    value = step.function(inputs, step.node.parameters, rows)
                except EXPECTED_ERRORS as error:
                    value = _Failure(step, error, inputs, rows)
                    is_failed = True
            values.append(value)
        return values

    def _recovered(
        self, step: BoundNode, inputs: list[Values], columns: _Columns, rows: int
    ) -> tuple[list[Values], _Failure | None]:
        """The inputs again, failed ones computed only on the rows that are used; or the failure that remains."""
        selection = step.function.selection if step.function is not None else None
        for index, given in enumerate(inputs):
            if not isinstance(given, _Failure):
                continue
            if selection is None or index == 0:
                return inputs, given
            mask = selection(index, inputs[:index])
            computed = self._on_selected(step.inputs[index], mask, columns, rows)
            if isinstance(computed, _Failure):
                return inputs, computed
            inputs[index] = computed
        return inputs, None

    def _on_selected(self, wanted: int, mask: Values, columns: _Columns, rows: int) -> Values:
        """Computes one step on the rows of a mask; other rows are null."""
        if isinstance(mask, pa.Scalar):
            mask = pa.repeat(mask, rows)
        chosen = np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)
        positions = np.flatnonzero(chosen)
        if len(positions) == 0:
            return pa.nulls(rows, self._steps[wanted].kind)
        needed = self._below(wanted)
        used = {self._steps[index].column for index in needed}
        places = pa.array(positions)
        part = {index: taken(columns[index], places) for index in used if index is not None}
        value = decoded(self._run(part, len(positions), needed)[wanted])
        if isinstance(value, _Failure):
            return value.within(positions)
        if isinstance(value, pa.Scalar):
            return value
        return value.take(pa.array(np.cumsum(chosen) - 1, pa.int64(), mask=~chosen))

    def _below(self, wanted: int) -> frozenset[int]:
        found: set[int] = set()
        waiting = [wanted]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting.extend(self._steps[index].inputs)
        return frozenset(found)


def _on_values(step: BoundNode, function: ScalarFunction, inputs: list[Values]) -> Values:
    """The step, computed once per dictionary value; None if that is not possible.

    A dictionary may have values that no row refers to: if the function fails for one of those, it is computed on rows.
    """
    like = same_codes(function, inputs)
    if like is None:
        return None
    values = [given.values if isinstance(given, Encoded) else given for given in inputs]
    try:
        return like.with_values(function(values, step.node.parameters, len(like.values)))
    except EXPECTED_ERRORS:
        return None


def _message(failure: _Failure, expression: Node) -> str:
    """The error message: what failed, where it was written, for which values, in which row."""
    step = failure.step
    place = f"{step.node.place}: " if step.node.place else ""
    whole = "" if expression is step.node else f" (part of `{expression}`)"
    start = f"{place}in `{step.node}`{whole}: "
    row = _bad_row(failure)
    if row is None:
        return f"{start}{failure.error}"
    shown = ", ".join(
        f"`{argument}` = {_shown(value, row)}"
        for argument, value in zip(step.node.arguments, failure.inputs, strict=True)
    )
    try:
        _applied_to(failure, row, row + 1)
    except EXPECTED_ERRORS as error:
        reason: Exception = error
    else:
        reason = failure.error
    number = row if failure.positions is None else int(failure.positions[row])
    return f"{start}{step.node.function} fails where {shown} (row {number} of the batch, counted from 0): {reason}"


def _bad_row(failure: _Failure) -> int | None:
    """The first row that fails alone, found by bisection; None if only the whole batch fails."""
    low, high = 0, failure.rows
    while high - low > 1:
        middle = (low + high) // 2
        if _fails(failure, low, middle):
            high = middle
        else:
            low = middle
    return low if failure.rows and _fails(failure, low, high) else None


def _fails(failure: _Failure, low: int, high: int) -> bool:
    try:
        _applied_to(failure, low, high)
    except EXPECTED_ERRORS:
        return True
    return False


def _applied_to(failure: _Failure, low: int, high: int) -> None:
    part = [value if isinstance(value, pa.Scalar) else value.slice(low, high - low) for value in failure.inputs]
    assert failure.step.function is not None
    failure.step.function(part, failure.step.node.parameters, high - low)


def _shown(value: Values, row: int) -> str:
    scalar: Any = value if isinstance(value, pa.Scalar) else value[row]
    try:
        text = repr(scalar.as_py())
    except (ValueError, ImportError):  # nanoseconds that Python's datetime cannot hold
        text = str(scalar)
    return text if len(text) <= _VALUE_SHOWN_MAX else text[:_VALUE_SHOWN_MAX] + "..."
