"""Combines the rows of each key."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import MAX_WATERMARK, Barrier, ControlElement, Element
from shmflink.core.keys import decode_keys
from shmflink.core.row import Row
from shmflink.core.typeinfo import TypeInformation
from shmflink.errors import InternalError
from shmflink.operators.base import OperatorContext
from shmflink.operators.declared_type import conform_rows
from shmflink.operators.function_operator import FunctionOperator, restored_backend
from shmflink.operators.slices import slices_of
from shmflink.operators.user_function import UserFunction
from shmflink.state.snapshots import OperatorSnapshot
from shmflink.state.tables import ABSENT

__all__ = ["FINAL_ROWS_MAX", "ReduceOperator"]

FINAL_ROWS_MAX: Final = 4096  # rows of one batch of final results

_STATE_NAME: Final = "_reduce_state"
_ATOMIC: Final = frozenset(
    {int, float, str, bytes, bool, type(None), complex, decimal.Decimal, dt.date, dt.datetime} | {dt.time, dt.timedelta}
)
_FORM_OF_SHAPE: Final = {"tuple": tuple, "row": Row, "list": list, "map": dict}


class ReduceOperator(FunctionOperator):
    """Keeps for each key what its rows were reduced to.

    STREAMING: every row gives an update, with the row's timestamp. BATCH, or `is_final`: one final result per key, in
    the order in which the keys came, when the watermark reaches its maximum (or at `finish`). A function that changes
    its first argument in place and returns it is safe: what was emitted is never changed afterwards.
    A function may ask in `open` for keyed states of its own (Flink: RichReduceFunction).
    """

    may_mutate = True  # whether `function` may change its first argument in place
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
        self._mutates = False
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
        reduce = self._reducer(rows)
        entered = self._entered(keys) if self._has_states else keys
        updates = self._reduce(entered, rows, iterator, reduce)
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
        """The keys; each is the one that the function's own states are of while its row is reduced."""
        for key in keys:
            self._backend.entry = key
            yield key

    def _reducer(self, rows: list[Any]) -> Callable[[Any, Any], Any]:
        """What combines two values; with a declared form, results are brought into it before they are kept."""
        call = self._function.call
        shape = None if self._row_type is None else self._row_type.shape
        form = _FORM_OF_SHAPE.get(shape[0]) if isinstance(shape, tuple) else None
        if form is None or self._row_type is None:
            return call
        conform = self._row_type.conform

        def reduce(value1: Any, value2: Any) -> Any:
            result = call(value1, value2)
            return result if type(result) is form else conform(result)

        return reduce

    def _reduce(
        self, keys: Iterable[Any], rows: list[Any], iterator: Iterator[Any], reduce: Callable[[Any, Any], Any]
    ) -> list[Any]:
        """Per row: the user's own function. Returns every update, in order."""
        table, mutates, guard = self._table, self._mutates, self.may_mutate
        values, is_frozen = table.live, bool(table.below)
        find, find_old = values.get, table.finder()
        updates: list[Any] = []
        append = updates.append
        key = None
        try:
            for key, row in zip(keys, iterator, strict=True):
                old = find(key, ABSENT)
                if is_frozen and old is ABSENT:
                    old = find_old(key, ABSENT)
                    if guard and old is not ABSENT and _is_mutable(old):
                        old = copy.deepcopy(old)  # a snapshot has the other one
                if old is not ABSENT:
                    new = reduce(old, row)
                    values[key] = new
                    # The same object again: changed in place perhaps, and it will be again.
                    if (new is old or mutates) and guard and _is_mutable(new):
                        mutates = self._mutates = True
                        new = copy.deepcopy(new)
                    append(new)
                else:
                    values[key] = copy.deepcopy(row) if guard and _is_mutable(row) else row
                    append(row)
        except Exception as error:
            row = rows[len(rows) - iterator.__length_hint__() - 1]  # type: ignore[attr-defined]
            known = table.get(key)
            self._function.fail(error, None if known is ABSENT else known, row)
        return updates

    def _final_results(self) -> Iterator[Batch]:
        if not self._waits:
            return
        # In BATCH mode nothing is frozen, so that nothing is copied.
        results = iter((self._table.entries() if self._table.below else self._table.live).values())
        while rows := list(islice(results, FINAL_ROWS_MAX)):
            if self._row_type is not None:
                rows = conform_rows(rows, self._row_type, self._context.operator_name)
            yield Batch.of_rows(rows, self._row_type)
        self._backend.clear()


def _is_mutable(value: Any) -> bool:
    """False where nobody can change the value in place."""
    kind = type(value)
    if kind in _ATOMIC:
        return False
    return not (kind is tuple and all(type(item) in _ATOMIC or not _is_mutable(item) for item in value))
