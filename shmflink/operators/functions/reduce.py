"""Combines the rows of each key."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import MAX_WATERMARK, Barrier, ControlElement, Element
from shmflink.core.isolation import IMMUTABLE, isolated
from shmflink.core.keys.columns import decode_keys
from shmflink.core.row import Row
from shmflink.core.types.shapes import is_fixed
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import InternalError
from shmflink.operators.base import OperatorContext
from shmflink.operators.columns.declared_type import conform_rows
from shmflink.operators.functions.function_operator import FunctionOperator, restored_backend
from shmflink.operators.functions.record_outputs import reuses_objects
from shmflink.operators.functions.user_function import UserFunction
from shmflink.operators.slices import slices_of
from shmflink.state.protocol import ABSENT
from shmflink.state.snapshots import OperatorSnapshot

__all__ = ["FINAL_ROWS_MAX", "ReduceOperator"]

FINAL_ROWS_MAX: Final = 4096  # rows of one batch of final results

_STATE_NAME: Final = "_reduce_state"
_FORM_OF_SHAPE: Final = {"tuple": tuple, "row": Row, "list": list, "map": dict}


class ReduceOperator(FunctionOperator):
    """Keeps the reduced value of each key.

    STREAMING: every row yields an update, with the row's timestamp. BATCH, or `is_final`: one final result per key, in
    order of the keys' first rows, when the watermark reaches its maximum (or at `finish`). A function may change its
    first argument in place and return it: an emitted value is never changed afterwards. A function may request its own
    keyed states in `open` (Flink: RichReduceFunction).
    """

    may_mutate = True  # whether `function` may change its first argument in place, which a snapshot may hold
    is_final = False

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        """`output_type` defaults to the type of the incoming batches."""
        self._function = UserFunction(function, "reduce")
        self._output_type = output_type

    @property
    def changelog(self) -> Changelog | None:
        return None if self.is_final else Changelog(None, of_records=True, is_per_record=True)

    def with_final_results(self) -> ReduceOperator:
        final = copy.copy(self)
        final.is_final = True
        return final

    def open(self, context: OperatorContext) -> None:
        self._context = context
        self._waits = context.is_batch or self.is_final
        self._reuses_objects = reuses_objects(context.configuration)
        self._row_type = self._output_type
        self._backend = restored_backend(context)
        self._table = self._backend.value_state(_STATE_NAME, self._row_type)
        self._function.open(context, self._backend)
        self._has_states = len(set(self._backend.state_names())) > 1

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        operator_state = self._function.snapshot(barrier)
        return OperatorSnapshot(tuple(self._backend.freeze(barrier, self._context.key_groups)), operator_state)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        for piece in slices_of(batch):
            yield from self._process(piece)
            self._backend.tidy()

    def _process(self, batch: Batch) -> Iterator[Batch]:
        if batch.keys is None:
            raise InternalError(f"operator '{self._context.operator_name}' got a batch without keys")
        rows = batch.rows()
        keys = decode_keys(batch.keys)
        if self._row_type is None and batch.row_type is not None:
            self._row_type = batch.row_type
            self._backend.value_state(_STATE_NAME, self._row_type)
        iterator = iter(rows)
        entered = self._entered(keys) if self._has_states else keys
        updates = self._reduce(entered, rows, iterator)
        if self._waits:
            return
        if self._row_type is not None:
            updates = conform_rows(updates, self._row_type, self._context.operator_name)
        yield Batch.of_rows(updates, self._row_type, timestamps=batch.timestamps)

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        if element == MAX_WATERMARK:
            yield from self._final_results()
        yield element

    def finish(self) -> Iterator[Batch]:
        yield from self._final_results()

    def _entered(self, keys: list[Any]) -> Iterator[Any]:
        """The keys; while a key's row is reduced, the function's own states refer to that key."""
        for key in keys:
            self._backend.entry = key
            yield key

    def _combiner(self, rows: list[Any]) -> Callable[[Any, Any], Any]:
        """The function that combines two values like these rows."""
        return self._function.call

    def _form(self) -> tuple[type | None, Callable[[Any], Any] | None]:
        """The class of results of the declared type, and the conversion of other values before they are stored."""
        shape = None if self._row_type is None else self._row_type.shape
        form = _FORM_OF_SHAPE.get(shape[0]) if isinstance(shape, tuple) else None
        return form, None if form is None or self._row_type is None else self._row_type.conform

    def _reduce(self, keys: Iterable[Any], rows: list[Any], iterator: Iterator[Any]) -> list[Any]:
        """Per row: the user's own function. Returns every emitted update, in order; none is the stored object."""
        table, guard = self._table, self.may_mutate
        entries = table.loop_entries()
        values, find_older = entries.recent, entries.find_older
        find = values.get
        combine, (form, conform) = self._combiner(rows), self._form()
        updates: list[Any] = []
        append = None if self._waits else updates.append
        copied = self._copied()
        key = None
        try:
            for key, row in zip(keys, iterator, strict=True):
                old = find(key, ABSENT)
                if find_older is not None and old is ABSENT:
                    old = find_older(key, ABSENT)
                    if guard and old is not ABSENT:
                        old = isolated(old)  # a snapshot holds the original
                if old is ABSENT:
                    values[key] = row if copied is None or type(row) in IMMUTABLE else copied(row)
                    new = row
                else:
                    new = combine(old, row)
                    if conform is not None and type(new) is not form:
                        new = conform(new)
                    values[key] = new
                    if append is not None and copied is not None and type(new) not in IMMUTABLE:
                        new = copied(new)
                if append is not None:
                    append(new)
        except Exception as error:
            row = rows[len(rows) - iterator.__length_hint__() - 1]  # type: ignore[attr-defined]
            known = table.get(key)
            self._function.fail(error, None if known is ABSENT else known, row)
        return updates

    def _copied(self) -> Callable[[Any], Any] | None:
        """Makes an update from the stored value, which the next call may change in place; None = the value itself."""
        is_declared_fixed = self._row_type is not None and is_fixed(self._row_type.shape)
        return None if self._waits or self._reuses_objects or is_declared_fixed else isolated

    def _final_results(self) -> Iterator[Batch]:
        if not self._waits:
            return
        for rows in self._table.owned_values(FINAL_ROWS_MAX):
            if self._row_type is not None:
                rows = conform_rows(rows, self._row_type, self._context.operator_name)
            yield Batch.of_rows(rows, self._row_type)
        self._backend.clear()
