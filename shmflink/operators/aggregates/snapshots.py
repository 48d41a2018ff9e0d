"""State of native tables in checkpoints: what is frozen, and the check that it fits before it is restored.

::

    key_group | key columns | __start, __end of windows | columns of calls' states | deleted, only in changes
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson
import pyarrow as pa

from shmflink import _core
from shmflink.config.checkpoint_options import INCREMENTAL
from shmflink.core.elements import Barrier
from shmflink.errors import InternalError, StateMismatchError
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.base import OperatorContext

__all__ = ["AGGREGATE", "WINDOWS", "TableSnapshot", "TableState", "type_text"]

AGGREGATE: Final = "aggregate"
WINDOWS: Final = "windows"

_METADATA_KEY: Final = b"shmflink"


class TableSnapshot:
    """One frozen table (`KeyedSnapshot`)."""

    def __init__(self, name: str, frozen: _core.FrozenTable, metadata: dict[bytes, bytes], key_groups: range) -> None:
        self.name = name
        self.is_delta = frozen.is_delta
        self._frozen = frozen
        self._metadata = metadata
        self._key_groups = key_groups

    def batches(self) -> Iterator[pa.RecordBatch]:
        """In pieces, each created on demand.

        Raises:
            InternalError: a key is outside the subtask's key groups: it was sent to the wrong subtask.
        """
        while (batch := self._frozen.next_batch()) is not None:
            groups = batch.column(0)
            for group in (groups[0].as_py(), groups[-1].as_py()):
                if group not in self._key_groups:
                    raise InternalError(f"{self.name}: key group {group} in the subtask of {self._key_groups}")
            yield batch.replace_schema_metadata(self._metadata)

    def saved(self, is_saved: bool) -> None:
        """If not saved, the next snapshot includes these changes."""
        self._frozen.saved(is_saved)


class TableState:
    """The state of one operator with a single table: `name` and `kind` are the same."""

    def __init__(self, context: OperatorContext, kind: str, spec: AggregateSpec, windows: str = "") -> None:
        """`windows`: their description, if the table is one of windows."""
        self._context = context
        self._kind = kind
        self._type = windows + type_text(spec)
        self._partial = {field.name: field for field in list(spec.partial_schema)[len(spec.keys) :]}
        entry = [*spec.key_names, *(["__start"] if kind == WINDOWS else [])]
        self._metadata = {_METADATA_KEY: orjson.dumps({"kind": kind, "type": self._type, "entry": entry})}
        incremental = context.configuration.get(INCREMENTAL.key, str(INCREMENTAL.default))
        self._is_incremental = incremental.lower() == "true"

    def frozen(self, table: _core.GroupTable | _core.WindowTable, barrier: Barrier) -> TableSnapshot:
        """The table's content at this moment."""
        frozen = table.freeze(
            self._context.max_parallelism,
            is_incremental=self._is_incremental,
            is_savepoint=barrier.is_savepoint,
        )
        return TableSnapshot(self._kind, frozen, self._metadata, self._context.key_groups)

    def restored(self) -> Iterator[pa.RecordBatch]:
        """The input of the table's `restore`.

        Raises:
            StateMismatchError: the saved state has another type.
        """
        restored = self._context.restored
        if restored.keyed_names and self._kind not in restored.keyed_names:
            raise self._mismatch(f"the states {', '.join(restored.keyed_names)}")
        for batch in restored.read_keyed(self._kind):
            metadata = orjson.loads((batch.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
            if (metadata.get("kind"), metadata.get("type")) != (self._kind, self._type):
                raise self._mismatch(f"{metadata.get('kind', 'state')} of {metadata.get('type', batch.schema.names)}")
            yield self._in_todays_types(batch)

    def _in_todays_types(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Sums of 64-bit integers used to have 64 bits, and now have 128; those of long decimals 128, and now 256."""
        fields = [self._partial.get(field.name, field) for field in batch.schema]
        if all(new.type == old.type for new, old in zip(fields, batch.schema, strict=True)):
            return batch
        return batch.cast(pa.schema(fields, batch.schema.metadata))

    def _mismatch(self, saved: str) -> StateMismatchError:
        return StateMismatchError(
            f"operator '{self._context.operator_name}': the checkpoint has {saved}, but the job now has "
            f"{self._kind} of "
            f"{self._type}. Keys, aggregates (names, arguments' types, order) and windows must equal the saved ones; "
            "to start without the state, give the operator another uid and run with --allow-non-restored-state"
        )


def type_text(spec: AggregateSpec) -> str:
    """Describes everything about a grouped aggregation that must stay the same for its state to fit.

    >>> from shmflink.expressions import AggregateCall, col
    >>> schema = pa.schema([("key", pa.string()), ("value", pa.int32())])
    >>> total = AggregateCall("sum", (col("value"),))
    >>> type_text(AggregateSpec(schema, (("key", col("key")),), (("total", total),)))
    'key string: total = sum(int32)'
    """
    keys = ", ".join(f"{each.name} {each.type}" for each in spec.key_schema) or "no key"
    types = [str(each.type) for each in spec.argument_schema]
    calls = []
    for name, function, arguments, constants, is_distinct in spec.native_calls:
        given = ", ".join([*(types[index] for index in arguments), *map(repr, constants)])
        calls.append(f"{name} = {function}({'distinct ' * is_distinct}{given})")
    return f"{keys}: {', '.join(calls) or 'no aggregates'}"
