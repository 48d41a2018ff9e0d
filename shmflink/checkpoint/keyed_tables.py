"""The keyed state of an operator as one Arrow table: for people and for the State Processor API.

Uses only the generic form of state files (`state.snapshots`): for every writer, a later row replaces an earlier one
with equal entry columns, and DELETED removes an entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from shmflink.checkpoint.handles import KeyedStateHandle
from shmflink.checkpoint.manifest import OperatorState
from shmflink.checkpoint.reading import StateReader
from shmflink.core.keys.columns import canonical_column, key_values, keys_from_wire
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pc
from shmflink.core.types.shapes import PICKLE, from_json
from shmflink.errors import CheckpointError
from shmflink.state.arrow_values import inferred_shape, try_array, values_from
from shmflink.state.snapshots import DELETED, KEY_GROUP

__all__ = ["KeyedStateInfo", "description_of", "is_pickled", "keyed_state_infos", "keyed_table", "readable"]

_METADATA: Final = b"shmflink"
_KEY: Final = "key"
_CANONICAL: Final = b"shmflink.key"
_ROW: Final = "__row"


@dataclass(frozen=True, slots=True)
class KeyedStateInfo:
    """One keyed state over all subtasks. `rows` counts entries and changes; `kind` is empty if there is no entry."""

    name: str
    kind: str
    type_text: str
    rows: int
    bytes: int
    files: int


def keyed_state_infos(directory: str, operator: OperatorState) -> list[KeyedStateInfo]:
    """The keyed states of an operator, without reading their rows.

    Raises:
        CheckpointCorruptedError: a file is damaged.
    """
    reader = StateReader(directory, operator)
    handles: dict[str, list[KeyedStateHandle]] = {}
    for subtask in operator.subtasks:
        for keyed in subtask.keyed:
            handles.setdefault(keyed.name, []).append(keyed)
    infos = []
    for name, parts in handles.items():
        files = [file for part in parts for file in part.files if file.length]
        schema = next((reader.schema_of(file) for file in files), None)
        about = description_of(schema)
        infos.append(
            KeyedStateInfo(
                name,
                about.get("kind", ""),
                about.get("type", ""),
                sum(file.rows for file in files),
                sum(file.length for file in files),
                len(files),
            )
        )
    return infos


def description_of(schema: pa.Schema | None) -> dict[str, Any]:
    """The metadata of a state file; empty if there is none."""
    if schema is None or not schema.metadata or _METADATA not in schema.metadata:
        return {}
    try:
        found = orjson.loads(schema.metadata[_METADATA])
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def keyed_table(directory: str, operator: OperatorState, name: str) -> pa.Table:
    """The entries in the files, with changes applied, by key group. Empty if there are none.

    Raises:
        CheckpointError: the operator has no such state.
        CheckpointCorruptedError: a file is damaged.
    """
    reader = StateReader(directory, operator)
    if name not in reader.keyed_names:
        raise CheckpointError(
            f"operator '{operator.name}' has no keyed state '{name}' in {directory}; it has "
            f"{', '.join(map(repr, reader.keyed_names)) or 'none at all'}"
        )
    batches = list(reader.read_keyed(name))
    if not batches:
        return pa.table({KEY_GROUP: pa.array([], pa.int32())})
    table = _united(batches)
    if DELETED in table.column_names:
        table = _collapsed(table, description_of(batches[0].schema).get("entry", []))
    return _by_key_group(table)


def readable(table: pa.Table, *, unpickle: bool = False) -> pa.Table:
    """The entries for people: keys as values, without key groups; pickled values as bytes.

    `unpickle` converts those to values, too, and so runs code of the checkpoint's author.
    """
    about = description_of(table.schema)
    table = table.drop_columns([KEY_GROUP])
    names = table.column_names
    if _KEY in names and about.get("shape") is not None:
        at = names.index(_KEY)
        table = table.set_column(at, _KEY, _plain_keys(table.column(at), table.field(at)))
        if about.get("kind") == "timers":
            table = table.drop_columns([name for name in ("value", "value_pickled") if name in names])
        elif unpickle and "value" in names:
            table = _unpickled(table, about)
        elif "value_pickled" in names and table["value_pickled"].null_count == table.num_rows:
            table = table.drop_columns(["value_pickled"])
    return table.replace_schema_metadata(None)


def is_pickled(table: pa.Table) -> bool:
    """Whether some values exist only as pickled bytes."""
    shape = description_of(table.schema).get("shape")
    names = table.column_names
    is_mixed = "value_pickled" in names and table["value_pickled"].null_count < table.num_rows
    is_timer = description_of(table.schema).get("kind") == "timers"
    return not is_timer and (is_mixed or (shape is not None and PICKLE in _flat(shape)))


def _flat(shape: Any) -> Iterator[Any]:
    if isinstance(shape, list | tuple):
        for part in shape:
            yield from _flat(part)
    else:
        yield shape


def _united(batches: list[pa.RecordBatch]) -> pa.Table:
    """All batches under one schema: missing columns become null, differing types become one."""
    kinds: dict[str, set[pa.DataType]] = {}
    for batch in batches:
        for field in batch.schema:
            if field.type != pa.null():
                kinds.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, found in kinds.items() if len(found) > 1}
    tables = []
    for batch in batches:
        table = pa.table(batch)
        for name in mixed & set(table.column_names):
            at = table.column_names.index(name)
            table = table.set_column(at, *_common(name, table.column(at), table.field(at)))
        tables.append(table)
    united = pa.concat_tables(tables, promote_options="default")
    return united.replace_schema_metadata(batches[0].schema.metadata)


def _common(name: str, column: pa.ChunkedArray, field: pa.Field) -> tuple[pa.Field, pa.ChunkedArray]:
    """A column that has another type in other files: keys become canonical bytes, values become text."""
    if name == _KEY:
        keys = [canonical_column(keys_from_wire(chunk, field.metadata)).cast(pa.binary()) for chunk in column.chunks]
        return pa.field(name, pa.binary(), metadata={_CANONICAL: b"canonical"}), pa.chunked_array(keys, pa.binary())
    text = [None if value is None else repr(value) for value in column.to_pylist()]
    return pa.field(name, pa.string()), pa.chunked_array([pa.array(text, pa.string())])


def _collapsed(table: pa.Table, entry: list[str]) -> pa.Table:
    """The last row of each entry, unless it is a deletion."""
    if not entry:  # a single entry: an aggregate without keys
        last_row = table.slice(table.num_rows - 1)
        return last_row.filter(_stays(last_row)).drop_columns([DELETED])
    numbered = table.select(entry).append_column(_ROW, pa.array(np.arange(table.num_rows)))
    last = numbered.group_by(entry, use_threads=False).aggregate([(_ROW, "max")])[f"{_ROW}_max"]
    table = table.take(last)
    return table.filter(_stays(table)).drop_columns([DELETED])


def _stays(table: pa.Table) -> pa.ChunkedArray:
    return pc.invert(pc.fill_null(table[DELETED], False))


def _by_key_group(table: pa.Table) -> pa.Table:
    groups = table[KEY_GROUP].to_numpy()
    if np.all(groups[:-1] <= groups[1:]):
        return table
    return table.take(pa.array(np.argsort(groups, kind="stable")))


def _plain_keys(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Keys as the user knows them: canonical bytes become columns again if they are all of one kind, otherwise text."""
    if not field.metadata or _CANONICAL not in field.metadata:
        return column
    keys = [key for chunk in column.chunks for key in key_values(keys_from_wire(chunk, field.metadata))]
    shape = inferred_shape(keys)
    array = None if shape == PICKLE else try_array(shape, keys)
    return pa.chunked_array([pa.array(map(str, keys), pa.string()) if array is None else array])


def _unpickled(table: pa.Table, about: dict[str, Any]) -> pa.Table:
    shape = from_json(orjson.dumps(about["shape"]))
    values: list[Any] = []
    for batch in table.to_batches():
        names = batch.schema.names
        pickled = batch.column("value_pickled") if "value_pickled" in names else None
        values += values_from(shape, batch.column("value"), pickled)
    found = inferred_shape(values)
    array = None if found == PICKLE else try_array(found, values)
    if array is None:
        array = pa.array([None if value is None else repr(value) for value in values], pa.string())
    table = table.set_column(table.column_names.index("value"), "value", array)
    return table.drop_columns([name for name in ("value_pickled",) if name in table.column_names])
