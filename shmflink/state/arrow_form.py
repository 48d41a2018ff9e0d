"""Keyed state as Arrow record batches, and back: the content of checkpoint files, which the State Processor API reads.

`entries_to_batches(form, pieces, ...)` and `batch_to_entries(batch)` are the two directions. `StateForm.of(descriptor)`
is the layout of a state to be written, `StateForm.from_schema(schema)` that of a state that was read. Columns::

    key_group        int32, ascending over all batches
    key              as `core.keys.columns.encode_keys` returns it; binary if the field's metadata says canonical bytes
    namespace        for states of windows; its type is the NamespaceForm's
    timestamp        int64, only for timers: milliseconds
    value            of the state's declared type; null where the next column has the value
    value_pickled    binary, only if some values are not of the declared type
    ttl              int64, or a list of it: time of the last write or read of the value, or of each of its items
    deleted          bool, only in changes

`KeyedSnapshot` describes the schema's metadata. Besides `kind`, `type` and `entry` it has `shape` (of the values,
`core.types.shapes`), `ttl` (whether values have times) and `namespace` (the NamespaceForm's name).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from shmflink.core.keys.columns import canonical_column, decode_keys, encode_keys, keys_from_wire, keys_to_wire
from shmflink.core.keys.groups import key_groups as assign_key_groups
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.shapes import PICKLE, Shape, from_json, to_json
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import InternalError, StateMismatchError
from shmflink.state.arrow_values import inferred_shape, values_from, values_to
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
)
from shmflink.state.namespaces import NamespaceForm, namespace_form
from shmflink.state.sorted_batches import in_order_of_groups
from shmflink.state.ttl_columns import stamped, stamps_of, without_stamps

__all__ = ["METADATA_KEY", "TIMERS", "Entries", "StateForm", "batch_to_entries", "entries_to_batches"]

METADATA_KEY: Final = b"shmflink"
TIMERS: Final = "timers"

GroupAssigner = Callable[[pa.Array, int], np.ndarray[Any, Any]]
"""(key column, max parallelism) -> the key group of each key."""

_KINDS: Final[dict[type[StateDescriptor], str]] = {
    ListStateDescriptor: "list",
    MapStateDescriptor: "map",
    ReducingStateDescriptor: "reducing",
    AggregatingStateDescriptor: "aggregating",
}


@dataclass(frozen=True, slots=True)
class StateForm:
    """The column layout of one state.

    If no type is declared, `type_text` is empty and `shape` is None: the values determine the shape.
    """

    kind: str
    type_text: str = ""
    shape: Shape | None = None
    has_ttl: bool = False
    namespaces: NamespaceForm | None = None

    @staticmethod
    def of(descriptor: StateDescriptor, namespaces: NamespaceForm | None = None) -> StateForm:
        """The form of a state that a function declares; `namespaces` None: one entry per key."""
        kind = _KINDS.get(type(descriptor), "value")
        shape = _columnar(descriptor.type_info.shape)
        config = descriptor.ttl_config
        return StateForm(
            kind,
            repr(descriptor.type_info),
            ("list", shape) if kind == "list" else _as_map(shape) if kind == "map" else shape,
            config is not None and config.is_enabled(),
            namespaces,
        )

    @staticmethod
    def of_values(type_info: TypeInformation | None) -> StateForm:
        """The form of one value per key, for which there is no descriptor."""
        if type_info is None:
            return StateForm("value")
        return StateForm("value", repr(type_info), _columnar(type_info.shape))

    @staticmethod
    def from_schema(schema: pa.Schema) -> StateForm:
        """The form of batches that were read.

        Raises:
            StateMismatchError: the batches do not have this form; native tables have another.
        """
        data = orjson.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
        if "shape" not in data:
            raise StateMismatchError(
                f"the columns {schema.names} are not state of keyed functions: {data or 'no metadata'}"
            )
        return StateForm(
            data["kind"],
            data["type"],
            from_json(orjson.dumps(data["shape"])),
            data["ttl"],
            None if data["namespace"] is None else namespace_form(data["namespace"]),
        )

    @property
    def entry_columns(self) -> list[str]:
        """Names of the columns that identify an entry."""
        columns = ["key"]
        if self.namespaces is not None and not self.namespaces.is_single:
            columns.append("namespace")
        return [*columns, "timestamp"] if self.kind == TIMERS else columns

    def metadata(self, shape: Shape) -> dict[bytes, bytes]:
        """The metadata of the schema."""
        data = {
            "kind": self.kind,
            "type": self.type_text,
            "entry": self.entry_columns,
            "shape": orjson.loads(to_json(shape)),
            "ttl": self.has_ttl,
            "namespace": None if self.namespaces is None else self.namespaces.name,
        }
        return {METADATA_KEY: orjson.dumps(data)}

    def __str__(self) -> str:
        return f"{self.kind} of {self.type_text or 'values as they are'}"


@dataclass(slots=True)
class Entries:
    """Some entries of one state; position i of every list belongs to entry i.

    `keys` are the user's keys when written, and hashables (`core.keys.columns.decode_keys`) when read. Values of
    states with time to live are (time, value), lists of these, or maps to them. `is_deleted` is None if nothing is
    deleted; the value of a deleted entry is ignored.
    """

    keys: list[Any]
    values: list[Any]
    namespaces: list[Any] | None = None
    timestamps: list[int] | None = None
    is_deleted: list[bool] | None = None


def entries_to_batches(
    form: StateForm,
    pieces: Iterable[Entries],
    max_parallelism: int,
    *,
    assign: GroupAssigner = assign_key_groups,
    key_groups: range | None = None,
    is_read: Callable[[], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Batches of all entries, by key group. Calls `is_read` when it has taken all pieces.

    Converts all pieces to columns before it yields the first batch, because only then is the order known.

    Raises:
        TypeMismatchError, SerializationError: a key has no stable byte form, a value cannot be pickled.
        InternalError: a key is outside `key_groups`: it was sent to the wrong subtask.
    """
    encoded: list[_Piece] = []
    shape = form.shape
    for entries in pieces:
        if not entries.keys:
            continue
        if shape is None:
            shape = _shape_of(entries)
        piece = _encoded(form, shape, entries, max_parallelism, assign)
        if key_groups is not None:
            _check_groups(piece.groups, key_groups)
        encoded.append(piece)
    if is_read is not None:
        is_read()
    if encoded:
        yield from in_order_of_groups(_unified(encoded, form.metadata(shape or PICKLE)))


def batch_to_entries(batch: pa.RecordBatch, form: StateForm | None = None) -> Entries:
    """The entries of one batch.

    Raises:
        StateMismatchError: a value cannot be unpickled; the message names key group, class and reason.
    """
    form = form or StateForm.from_schema(batch.schema)
    names = batch.schema.names
    key_field = batch.schema.field("key")
    keys = decode_keys(keys_from_wire(batch.column("key"), key_field.metadata))
    values = _values(form, batch)
    if form.has_ttl and "ttl" in names:
        values = stamped(form.kind, values, batch.column("ttl").to_pylist())
    namespaces = None
    if form.namespaces is not None:
        array = None if form.namespaces.is_single else batch.column("namespace")
        namespaces = form.namespaces.decode(array, batch.num_rows)
    return Entries(
        keys,
        values,
        namespaces,
        batch.column("timestamp").to_pylist() if "timestamp" in names else None,
        batch.column("deleted").to_pylist() if "deleted" in names else None,
    )


@dataclass(slots=True)
class _Piece:
    """Columns of some entries, in any order."""

    groups: np.ndarray[Any, np.dtype[np.int32]]
    keys: pa.Array
    others: dict[str, pa.Array]


def _shape_of(entries: Entries) -> Shape | None:
    """The shape of the values; None if all entries are deleted."""
    gone = entries.is_deleted
    values = (
        entries.values if gone is None else [v for v, is_gone in zip(entries.values, gone, strict=True) if not is_gone]
    )
    return inferred_shape(values) if values else None


def _encoded(
    form: StateForm, shape: Shape | None, entries: Entries, max_parallelism: int, assign: GroupAssigner
) -> _Piece:
    keys = encode_keys(entries.keys)
    others: dict[str, pa.Array] = {}
    if entries.namespaces is not None and form.namespaces is not None and not form.namespaces.is_single:
        others["namespace"] = form.namespaces.encode(entries.namespaces)
    if entries.timestamps is not None:
        others["timestamp"] = pa.array(entries.timestamps, pa.int64())
    values, spread = entries.values, None
    if entries.is_deleted is not None and any(entries.is_deleted):
        there = [index for index, gone in enumerate(entries.is_deleted) if not gone]
        spread = _spread(there, len(values))
        values = [values[index] for index in there]
    for name, array in _value_columns(form, shape, values):
        others[name] = array if spread is None else array.take(spread)
    if entries.is_deleted is not None:
        others["deleted"] = pa.array(entries.is_deleted, pa.bool_())
    groups = np.asarray(assign(keys, max_parallelism), dtype=np.int32)
    return _Piece(groups, keys, others)


def _value_columns(form: StateForm, shape: Shape | None, values: list[Any]) -> Iterator[tuple[str, pa.Array]]:
    if shape is None:
        return
    if form.has_ttl:
        yield "ttl", stamps_of(form.kind, values)
        values = without_stamps(form.kind, values)
    typed, pickled = values_to(shape, values)
    yield "value", typed
    if pickled is not None:
        yield "value_pickled", pickled


def _spread(there: list[int], count: int) -> pa.Array:
    """Indices that move values to their positions, with nulls in between."""
    indices = np.zeros(count, np.int64)
    indices[there] = np.arange(len(there))
    mask = np.ones(count, np.bool_)
    mask[there] = False
    return pa.array(indices, mask=mask)


def _check_groups(groups: np.ndarray[Any, Any], key_groups: range) -> None:
    outside = groups[(groups < key_groups.start) | (groups >= key_groups.stop)]
    if len(outside):
        raise InternalError(f"state of key group {outside[0]} in the subtask of key groups {key_groups}")


_ORDER: Final = ("namespace", "timestamp", "value", "value_pickled", "ttl", "deleted")


def _unified(pieces: list[_Piece], metadata: dict[bytes, bytes]) -> list[pa.RecordBatch]:
    """All pieces under one schema: key columns of several types become canonical, missing columns become null."""
    if len({piece.keys.type for piece in pieces}) > 1:
        for piece in pieces:
            piece.keys = canonical_column(piece.keys)
    names = [name for name in _ORDER if any(name in piece.others for piece in pieces)]
    kinds = {name: piece.others[name].type for name in names for piece in pieces if name in piece.others}
    batches = []
    for piece in pieces:
        keys, marker = keys_to_wire(piece.keys)
        missing = [name for name in names if name not in piece.others]
        piece.others.update((name, pa.nulls(len(keys), kinds[name])) for name in missing)
        fields = [pa.field("key_group", pa.int32()), pa.field("key", keys.type, metadata=marker)]
        fields += [pa.field(name, kinds[name]) for name in names]
        arrays = [pa.array(piece.groups), keys, *(piece.others[name] for name in names)]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata)))
    return batches


def _values(form: StateForm, batch: pa.RecordBatch) -> list[Any]:
    if "value" not in batch.schema.names:
        return [None] * batch.num_rows  # all entries are deleted
    pickled = batch.column("value_pickled") if "value_pickled" in batch.schema.names else None
    assert form.shape is not None
    try:
        return values_from(form.shape, batch.column("value"), pickled)
    except _LOAD_ERRORS as error:
        row = next((row for row in range(batch.num_rows) if not _can_load(form, batch.slice(row, 1))), 0)
        raise StateMismatchError(
            f"a value of key group {batch.column('key_group')[row].as_py()} cannot be unpickled: "
            f"{type(error).__name__}: {error}. If its class was renamed or moved, make it importable under its old "
            "name, or drop the state with the State Processor API"
        ) from error


def _can_load(form: StateForm, row: pa.RecordBatch) -> bool:
    """Whether the value of one row can be unpickled; called row by row only to find the one that cannot."""
    assert form.shape is not None
    try:
        names = row.schema.names
        values_from(form.shape, row.column("value"), row.column("value_pickled") if "value_pickled" in names else None)
    except _LOAD_ERRORS:
        return False
    return True


_LOAD_ERRORS: Final = (AttributeError, ImportError, TypeError, ValueError, EOFError, UnpicklingError)


def _columnar(shape: Shape) -> Shape:
    """The shape, or pickled if columns cannot hold all of it."""
    if isinstance(shape, str):
        return PICKLE if shape in ("arrow", "null") else shape
    parts = shape[1:] if shape[0] in ("list", "map") else shape[-1]
    if not parts or any(_columnar(part) != part for part in parts):
        return PICKLE
    return shape


def _as_map(shape: Shape) -> Shape:
    return ("map", PICKLE, PICKLE) if shape == PICKLE else shape
