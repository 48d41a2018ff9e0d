"""Key-value metadata of tables and columns in a job: carried in schemas of the plan, not with the rows.

An *annotated schema* has the columns of a stream that came unchanged from a source, in plain types
(`core.plain_columns`), with the source's metadata for them and for the table. It omits the other columns of the stream.
It is empty if there is no metadata to carry. Batches and declared types have no metadata.

What is carried:

- metadata of a column, inner fields included, with the column, even if it is renamed. Field ids (`PARQUET:field_id`)
  stay unique: if a column is copied, the copy that keeps the name keeps them. Metadata that states the column's type
  (extension types, Polars' categories) is carried only while the type is unchanged.
- metadata of the table, through all operators that do not change rows. Keys that refer to columns (`geo`, `pandas`,
  `huggingface`) follow `core.described_columns`.

What is never carried: metadata in which a writer describes itself or the schema that it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa

from shmflink.core import described_columns
from shmflink.core.described_columns import DESCRIBING, OF_EACH_COLUMN, Origins
from shmflink.core.plain_columns import plain_type

__all__ = [
    "NO_METADATA",
    "annotated",
    "described",
    "described_rows",
    "is_empty",
    "merged_metadata",
    "metadata_of_columns",
    "metadata_of_fewer_rows",
    "metadata_of_join",
    "metadata_of_keys",
]

NO_METADATA: Final = pa.schema([])

Metadata = dict[bytes, bytes]

_OURS: Final = b"shmflink"
_OWNED_BY_WRITERS: Final = (
    *(b"ARROW:schema", b"parquet.avro.schema", b"avro.schema", b"parquet.proto.", b"thrift.", b"iceberg.schema"),
    *(b"org.apache.spark.", b"writer.model.name", b"writer.date.proleptic", b"writer.time.zone", b"writer.zone."),
    _OURS,
)
"""Prefixes of keys."""

_OF_TYPES: Final = (b"ARROW:extension:", b"_PL_")
_PARAMETERS: Final = {"arrow.json": b""}
"""Parameters of Arrow's own extension types, which do not expose them; for the one that becomes its storage here."""
_FIELD_ID: Final = b"PARQUET:field_id"


def is_empty(schema: pa.Schema) -> bool:
    """Whether an annotated schema is empty."""
    return bool(schema.equals(NO_METADATA, check_metadata=True))


def annotated(schema: pa.Schema) -> pa.Schema:
    """The metadata of a table with this schema that may be carried."""
    table = {key: value for key, value in (schema.metadata or {}).items() if not key.startswith(_OWNED_BY_WRITERS)}
    fields = list(map(_with_extension, schema))
    if not table and not any(_has_metadata(field) for field in fields):
        return NO_METADATA
    if any(pa.types.is_dictionary(kind) for kind in schema.types):
        table.pop(b"pandas", None)  # it describes categories, which are replaced by their values
    plain = [_of_type(_changed(field, _not_ours), plain_type(field.type)) for field in fields]
    return _settled(plain, table, {name: name for name in schema.names})


def metadata_of_columns(schema: pa.Schema, origins: Origins) -> pa.Schema:
    """The annotated schema after a projection. `origins`: all its columns."""
    if is_empty(schema):
        return NO_METADATA
    held = dict(zip(schema.names, schema, strict=True))
    kept = {name: origin for name, origin in origins.items() if origin is not None and origin in held}
    owners = {origin: name for name, origin in reversed(kept.items())} | {o: o for n, o in kept.items() if n == o}
    fields = []
    for name, origin in kept.items():
        field = held[origin].with_name(name)
        fields.append(field if owners[origin] == name else _without_ids(field))
    return _settled(fields, schema.metadata or {}, origins)


def metadata_of_keys(schema: pa.Schema, origins: Origins) -> pa.Schema:
    """The annotated schema of aggregates: key columns are unchanged, the rows are not."""
    made = metadata_of_columns(schema, origins)
    table = {key: value for key, value in (made.metadata or {}).items() if key in OF_EACH_COLUMN}
    return _settled(list(made), table, {name: name for name in made.names})


def metadata_of_join(
    left: pa.Schema, right: pa.Schema, columns: Sequence[tuple[str, str | None, str | None]]
) -> pa.Schema:
    """The annotated schema of pairs of rows. `columns`: a name, and the columns of both sides that its values are from.

    Columns are unchanged. For a column of both inputs, and for the table, metadata that both have is kept, as in a
    union.
    """
    sides = [
        metadata_of_keys(left, {name: of_left for name, of_left, _ in columns}),
        metadata_of_keys(right, {name: of_right for name, _, of_right in columns}),
    ]
    held = [dict(zip(side.names, side, strict=True)) for side in sides]
    fields = []
    for name, of_left, of_right in columns:
        of_inputs = [one.get(name) for one, origin in zip(held, (of_left, of_right), strict=True) if origin is not None]
        if all(field is not None for field in of_inputs):
            fields.append(_common_field(of_inputs))
    tables = [side.metadata or {} for side in sides]
    both = [name for name, *origins in columns if None not in origins]
    table = {
        key: value
        for key in OF_EACH_COLUMN
        if (value := described_columns.of_pair(key, [table.get(key) for table in tables], both)) is not None
    }
    return metadata_of_fewer_rows(_settled(_unique_ids(fields), table, {field.name: field.name for field in fields}))


def metadata_of_fewer_rows(schema: pa.Schema) -> pa.Schema:
    """The annotated schema after an operator that drops rows."""
    return _of_rows(schema, described_columns.of_fewer_rows)


def merged_metadata(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The annotated schema of rows of several inputs (a union, the files of a source, sources one after another).

    Keeps metadata that is equal in all inputs. Entries of `geo` are merged: their bounding boxes and kinds of geometry
    are united; a column whose `encoding`, `crs`, `edges` or `epoch` differ loses its entry. A column that only some
    inputs have keeps the metadata of those.
    """
    if not schemas or any(is_empty(schema) for schema in schemas):
        return NO_METADATA
    if all(schema.equals(schemas[0], check_metadata=True) for schema in schemas[1:]):
        return schemas[0]
    several: dict[str, list[pa.Field]] = {}
    for schema in schemas:
        for field in schema:
            several.setdefault(field.name, []).append(field)
    fields = [_common_field(fields) for fields in several.values()]
    tables = [schema.metadata or {} for schema in schemas]
    table = {}
    for key in tables[0]:
        if all(key in other for other in tables):
            value = _of_all(key, [other[key] for other in tables])
            if value is not None:
                table[key] = value
    return _settled(fields, table, {name: name for name in several})


def described(schema: pa.Schema, by: pa.Schema) -> pa.Schema:
    """`schema` with the metadata of an annotated schema for its columns; its own metadata takes precedence."""
    if is_empty(by):
        return schema
    # Unpickling would turn metadata that names a registered extension type into that type.
    held = dict(zip(by.names, map(_with_extension, by), strict=True))
    fields = [
        field if field.name not in held else _described_field(field, _of_type(held[field.name], field.type))
        for field in schema
    ]
    same = {f.name: f.name if f.name in held and _is_same(held[f.name].type, f.type) else None for f in schema}
    table = {**_table_of_columns(by.metadata or {}, same), **(schema.metadata or {})}
    return pa.schema(_unique_ids(fields), table or None)


def described_rows(rows: pa.Schema, by: pa.Schema) -> pa.Schema:
    """The schema of batches, with the metadata of an annotated schema only.

    Inner fields of batches may have metadata of the single file from which they come; it is removed.
    """
    return described(pa.schema([_without_inner(field) for field in rows], rows.metadata), by)


def _settled(fields: Sequence[pa.Field], table: Mapping[bytes, bytes], origins: Origins) -> pa.Schema:
    kept = _table_of_columns(table, origins)
    if not kept and not any(_has_metadata(field) for field in fields):
        return NO_METADATA
    return pa.schema(fields, kept or None)


def _table_of_columns(table: Mapping[bytes, bytes], origins: Origins) -> Metadata:
    made: Metadata = {}
    for key, value in table.items():
        changed = described_columns.of_columns(key, value, origins) if key in DESCRIBING else value
        if changed is not None:
            made[key] = changed
    return made


def _of_rows(schema: pa.Schema, change: Callable[[bytes, bytes], bytes | None]) -> pa.Schema:
    if not schema.metadata:
        return schema
    changed = {key: change(key, value) for key, value in schema.metadata.items()}
    return schema.with_metadata({key: value for key, value in changed.items() if value is not None} or None)


def _of_all(key: bytes, values: Sequence[bytes]) -> bytes | None:
    if key in DESCRIBING:
        return described_columns.of_several(key, values)
    return values[0] if all(value == values[0] for value in values) else None


# --- fields ---


def _has_metadata(field: pa.Field) -> bool:
    if field.metadata:
        return True
    kind = field.type
    return bool(kind.num_fields) and any(_has_metadata(inner) for inner in _inner(kind))


def _inner(kind: pa.DataType) -> Iterator[pa.Field]:
    """The fields inside a nested type."""
    if pa.types.is_map(kind):
        yield from (kind.key_field, kind.item_field)
    else:
        yield from (kind.field(index) for index in range(kind.num_fields))


def _changed(field: pa.Field, change: Callable[[Metadata], Metadata]) -> pa.Field:
    """The field with changed metadata, also of inner fields."""
    if not _has_metadata(field):
        return field
    kind = _rebuilt(field.type, [_changed(inner, change) for inner in _inner(field.type)])
    return field.with_type(kind).with_metadata(change(dict(field.metadata or {})) or None)


def _rebuilt(kind: pa.DataType, inner: Sequence[pa.Field]) -> pa.DataType:
    """The nested type with other fields of the same types."""
    types = pa.types
    if not inner:
        return kind
    if types.is_struct(kind):
        return pa.struct(inner)
    if types.is_map(kind):
        return pa.map_(*inner, keys_sorted=kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(inner[0], kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(inner[0])
    return pa.list_(inner[0]) if types.is_list(kind) else kind


def _without_inner(field: pa.Field) -> pa.Field:
    """The field without metadata of its inner fields."""
    return _changed(field, lambda _: {}).with_metadata(field.metadata) if field.type.num_fields else field


def _not_ours(held: Metadata) -> Metadata:
    return {key: value for key, value in held.items() if not key.startswith(_OURS)}


def _with_extension(field: pa.Field) -> pa.Field:
    """A field of a registered extension type as its storage, with the type's name in the metadata, as in readers
    without the extension.
    """
    kind = field.type
    if not isinstance(kind, pa.BaseExtensionType) or not plain_type(kind).equals(plain_type(kind.storage_type)):
        return field
    name = kind.extension_name
    parameters = kind.__arrow_ext_serialize__() if isinstance(kind, pa.ExtensionType) else _PARAMETERS.get(name)
    if parameters is None:
        return field
    said = {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": bytes(parameters)}
    return pa.field(field.name, kind.storage_type, metadata={**said, **(field.metadata or {})})


def _of_type(field: pa.Field, kind: pa.DataType) -> pa.Field:
    """The field of a column whose type is now `kind`."""
    if field.type.equals(kind):
        return field
    if not _is_same(field.type, kind):
        field = _changed(field, lambda held: {k: v for k, v in held.items() if not k.startswith(_OF_TYPES)})
    return _described_field(pa.field(field.name, kind), field)


def _is_same(kind: pa.DataType, other: pa.DataType) -> bool:
    """Whether values have the same meaning in both types, ignoring the width of offsets, and views."""
    if kind.equals(other) or plain_type(kind).equals(other):
        return not pa.types.is_dictionary(kind)
    return any(is_one(kind) and is_one(other) for is_one in (_is_text, _is_binary))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _described_field(field: pa.Field, by: pa.Field) -> pa.Field:
    """`field` with the metadata of `by`, inner fields of structs by name; its own metadata takes precedence."""
    if not _has_metadata(by):
        return field
    kind = _rebuilt(field.type, _described_inner(field.type, by.type))
    return field.with_type(kind).with_metadata({**(by.metadata or {}), **(field.metadata or {})} or None)


def _described_inner(kind: pa.DataType, by: pa.DataType) -> list[pa.Field]:
    fields, others = list(_inner(kind)), list(_inner(by))
    if pa.types.is_struct(kind):
        held = {other.name: other for other in others}
        return [_described_field(field, held.get(field.name, field)) for field in fields]
    others += fields[len(others) :]
    return [_described_field(field, other) for field, other in zip(fields, others, strict=False)]


def _common_field(fields: Sequence[pa.Field]) -> pa.Field:
    """The metadata that all these fields of one name have in common."""
    first = fields[0]
    for other in fields[1:]:
        first = _common(first, other)
    return first


def _common(one: pa.Field, other: pa.Field) -> pa.Field:
    theirs, is_struct = other.metadata or {}, pa.types.is_struct(one.type) and pa.types.is_struct(other.type)
    held = {key: value for key, value in (one.metadata or {}).items() if theirs.get(key) == value}
    if not one.type.equals(other.type) or _of_type_in(one) != _of_type_in(other):
        held = {key: value for key, value in held.items() if not key.startswith(_OF_TYPES)}
    if is_struct:
        kind = pa.struct(_common_inner(one.type, other.type))
    elif one.type.equals(other.type):
        inner = [_common(*both) for both in zip(_inner(one.type), _inner(other.type), strict=True)]
        kind = _rebuilt(one.type, inner)
    else:
        kind = _without_inner(one).type
    return one.with_type(kind).with_metadata(held or None)


def _of_type_in(field: pa.Field) -> Metadata:
    """The metadata that states the type of a column: kept completely or not at all."""
    return {key: value for key, value in (field.metadata or {}).items() if key.startswith(_OF_TYPES)}


def _common_inner(one: pa.DataType, other: pa.DataType) -> list[pa.Field]:
    """The fields of two structs by name; a field that only one has is unchanged."""
    fields = {field.name: field for field in _inner(one)}
    for field in _inner(other):
        fields[field.name] = _common(fields[field.name], field) if field.name in fields else field
    return list(fields.values())


# --- ids ---


def _without_ids(field: pa.Field) -> pa.Field:
    return _changed(field, lambda held: {key: value for key, value in held.items() if key != _FIELD_ID})


def _unique_ids(fields: Sequence[pa.Field]) -> list[pa.Field]:
    """The fields; removes an id that an earlier field has."""
    seen: set[bytes] = set()
    made = []
    for field in fields:
        ids = set(_ids(field))
        made.append(_without_ids(field) if ids & seen else field)
        seen |= ids
    return made


def _ids(field: pa.Field) -> Iterator[bytes]:
    if field.metadata and _FIELD_ID in field.metadata:
        yield field.metadata[_FIELD_ID]
    for inner in _inner(field.type):
        yield from _ids(inner)
