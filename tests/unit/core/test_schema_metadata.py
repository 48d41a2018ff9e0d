from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.schema_metadata import (
    NO_METADATA,
    annotated,
    described,
    described_rows,
    is_empty,
    merged_metadata,
    metadata_of_columns,
    metadata_of_join,
    metadata_of_keys,
)

ID = "PARQUET:field_id"
GEO = json.dumps(
    {"version": "1.1.0", "primary_column": "at", "columns": {"at": {"encoding": "WKB", "geometry_types": []}}}
)


def field(name: str, kind: pa.DataType, **metadata: str) -> pa.Field:
    return pa.field(name, kind, metadata=metadata or None)


def numbered(name: str, kind: pa.DataType, number: int, **metadata: str) -> pa.Field:
    return field(name, kind, **{ID: str(number), **metadata})


NESTED = pa.struct([numbered("x", pa.int32(), 4), pa.field("y", pa.list_(numbered("element", pa.string(), 5)))])
SCHEMA = pa.schema(
    [numbered("a", pa.int64(), 1, comment="first"), numbered("at", pa.binary(), 2), numbered("s", NESTED, 3)],
    metadata={"geo": GEO, "owner": "me"},
)


def told(schema: pa.Schema) -> Any:
    """Metadata of the table, and of each column with its path, as texts."""

    def of(one: pa.Field, path: str) -> Any:
        if one.metadata:
            yield path, {key.decode(): value.decode() for key, value in one.metadata.items()}
        for index in range(one.type.num_fields):
            inner = one.type.field(index)
            yield from of(inner, f"{path}.{inner.name if pa.types.is_struct(one.type) else index}")

    table = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    return table, dict(pair for one in schema for pair in of(one, one.name))


def same(*names: str) -> dict[str, str | None]:
    return {name: name for name in names}


BARE = pa.struct([("x", pa.int32()), ("y", pa.list_(pa.string()))])
PLAIN = pa.schema([("a", pa.int64()), ("at", pa.binary()), ("s", BARE)])


def test_all_of_it_comes_back_to_the_same_columns() -> None:
    assert told(described(PLAIN, annotated(SCHEMA))) == told(SCHEMA)


def test_a_schema_without_metadata_is_empty_and_stays_so() -> None:
    none = annotated(pa.schema([("a", pa.int64()), ("b", pa.list_(pa.int64()))]))
    assert is_empty(none)
    assert is_empty(metadata_of_columns(none, same("a")))
    assert described(SCHEMA, none) is SCHEMA
    assert is_empty(merged_metadata([annotated(SCHEMA), none]))
    assert not is_empty(annotated(SCHEMA))


@pytest.mark.parametrize(
    "key",
    [
        *("ARROW:schema", "org.apache.spark.sql.parquet.row.metadata", "parquet.avro.schema", "writer.model.name"),
        *("iceberg.schema", "shmflink.rows", "org.apache.spark.version", "parquet.proto.class"),
    ],
)
def test_what_writers_say_of_themselves_does_not_travel(key: str) -> None:
    assert is_empty(annotated(pa.schema([("a", pa.int64())], metadata={key: "x"})))


def test_own_metadata_of_fields_do_not_travel() -> None:
    assert is_empty(annotated(pa.schema([field("a", pa.string(), **{"shmflink.char": "3"})])))


def test_a_renamed_column_keeps_its_metadata() -> None:
    made = metadata_of_columns(annotated(SCHEMA), {"b": "a", "t": "s", "n": None})
    table, columns = told(described(pa.schema([("b", pa.int64()), ("n", pa.int8()), ("t", NESTED)]), made))
    assert table == {"owner": "me"}
    assert columns == {"b": {ID: "1", "comment": "first"}, "t": {ID: "3"}, "t.x": {ID: "4"}, "t.y.0": {ID: "5"}}


@pytest.mark.parametrize("names", [("b", "a", "c"), ("a", "b", "c"), ("c", "b", "a")])
def test_one_column_alone_has_an_id(names: tuple[str, ...]) -> None:
    made = metadata_of_columns(annotated(SCHEMA), dict.fromkeys(names, "a"))
    _, columns = told(made)
    assert columns == {name: {"comment": "first"} | ({ID: "1"} if name == "a" else {}) for name in names}
    _, renamed = told(metadata_of_columns(annotated(SCHEMA), {"c": "s", "b": "s"}))
    assert sorted(renamed) == ["c", "c.x", "c.y.0"]


def test_an_id_of_the_program_wins_over_one_that_comes_along() -> None:
    declared = pa.schema([numbered("new", pa.int64(), 2), ("at", pa.binary())])
    _, columns = told(described(declared, annotated(SCHEMA)))
    assert columns == {"new": {ID: "2"}}


def test_what_the_program_declares_wins() -> None:
    declared = pa.schema([field("a", pa.int64(), comment="mine")], metadata={"owner": "you"})
    table, columns = told(described(declared, annotated(SCHEMA)))
    assert (table, columns) == ({"owner": "you"}, {"a": {ID: "1", "comment": "mine"}})


def test_another_type_keeps_the_id_and_loses_what_tells_the_type() -> None:
    wkb = pa.schema(
        [numbered("at", pa.binary(), 2, **{"ARROW:extension:name": "geoarrow.wkb", "comment": "c"})], {"geo": GEO}
    )
    assert told(described(pa.schema([("at", pa.large_binary())]), annotated(wkb))) == told(wkb)
    table, columns = told(described(pa.schema([("at", pa.string())]), annotated(wkb)))
    assert (table, columns) == ({}, {"at": {ID: "2", "comment": "c"}})


def test_categories_become_their_values_and_are_no_longer_told() -> None:
    categories = field("a", pa.dictionary(pa.uint32(), pa.string()), _PL_CATEGORICAL="x", comment="c")
    made = annotated(pa.schema([categories], {"pandas": '{"columns": [], "index_columns": []}', "owner": "me"}))
    assert told(made) == ({"owner": "me"}, {"a": {"comment": "c"}})


@pytest.mark.parametrize(
    "wrapped",
    [
        pa.list_,
        pa.large_list,
        lambda inner: pa.list_(inner, 2),
        lambda inner: pa.map_(pa.string(), inner),
    ],
    ids=["list", "large_list", "fixed_size_list", "map"],
)
def test_inner_fields_of_every_nested_type(wrapped: Any) -> None:
    schema = pa.schema([pa.field("a", wrapped(numbered("value", pa.int32(), 9)))])
    bare = pa.schema([pa.field("a", wrapped(pa.field("value", pa.int32())))])
    made = described(bare, annotated(schema))
    assert told(made) == told(schema)
    assert made.equals(bare)


def test_inputs_that_say_the_same_and_inputs_that_do_not() -> None:
    other = pa.schema(
        [numbered("a", pa.int64(), 1, comment="other"), numbered("at", pa.binary(), 7), numbered("s", NESTED, 3)],
        metadata={"geo": GEO, "owner": "you", "more": "x"},
    )
    assert merged_metadata([annotated(SCHEMA), annotated(SCHEMA)]) == annotated(SCHEMA)
    table, columns = told(merged_metadata([annotated(SCHEMA), annotated(other)]))
    assert (list(table), columns["a"], "at" in columns) == (["geo"], {ID: "1"}, False)
    assert columns["s.y.0"] == {ID: "5"}


def test_a_column_that_some_files_lack_keeps_what_the_others_say() -> None:
    wide = annotated(pa.schema([numbered("a", pa.int64(), 1), numbered("b", pa.int64(), 2)]))
    _, columns = told(merged_metadata([wide, annotated(pa.schema([numbered("a", pa.int64(), 1)]))]))
    assert columns == {"a": {ID: "1"}, "b": {ID: "2"}}


def test_columns_of_several_types_keep_what_is_not_of_the_type() -> None:
    one = annotated(pa.schema([numbered("a", pa.int32(), 1, **{"ARROW:extension:name": "x"})]))
    other = annotated(pa.schema([numbered("a", pa.int64(), 1, **{"ARROW:extension:name": "x"})]))
    assert told(merged_metadata([one, other])) == ({}, {"a": {ID: "1"}})


def test_aggregates_keep_what_holds_for_their_keys_alone() -> None:
    table, columns = told(metadata_of_keys(annotated(SCHEMA), {"at": "at", "b": "a"}))
    assert (list(table), columns) == (["geo"], {"at": {ID: "2"}, "b": {ID: "1", "comment": "first"}})
    assert is_empty(metadata_of_keys(NO_METADATA, {"at": "at"}))


def test_files_whose_inner_fields_say_other_things() -> None:
    def of_unit(unit: str, *more: str) -> pa.Schema:
        inner = pa.struct([field("x", pa.int32(), unit=unit), *((name, pa.int32()) for name in ("y", *more))])
        return pa.schema([field("s", inner, comment="c"), field("l", pa.list_(field("element", pa.int8(), unit=unit)))])

    merged = merged_metadata([annotated(of_unit("cm")), annotated(of_unit("inch"))])
    assert told(described_rows(of_unit("inch").remove_metadata(), merged)) == ({}, {"s": {"comment": "c"}})
    assert told(described_rows(of_unit("cm"), NO_METADATA))[1] == {"s": {"comment": "c"}}
    wider = merged_metadata([annotated(of_unit("cm")), annotated(of_unit("cm", "z"))])
    assert told(wider)[1] == {"s": {"comment": "c"}, "s.x": {"unit": "cm"}, "l.0": {"unit": "cm"}}


def test_the_name_of_a_type_goes_with_its_parameters_or_not_at_all() -> None:
    """A tensor without its shape is a file that nobody opens."""

    def of_shape(shape: str) -> pa.Schema:
        extension = {"ARROW:extension:name": "some.tensor", "ARROW:extension:metadata": shape}
        return annotated(pa.schema([field("a", pa.list_(pa.int8(), 4), comment="c", **extension)]))

    assert told(merged_metadata([of_shape("2x2"), of_shape("4")])) == ({}, {"a": {"comment": "c"}})


class Wkb(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.binary(), "tests.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"EPSG:4326"


@pytest.mark.parametrize(
    ("kind", "plain", "parameters"), [(Wkb(), pa.binary(), "EPSG:4326"), (pa.json_(), pa.string(), "")]
)
def test_types_that_this_process_knows_are_told_as_in_one_that_does_not(
    kind: pa.DataType, plain: pa.DataType, parameters: str
) -> None:
    by = pickle.loads(pickle.dumps(annotated(pa.schema([field("a", kind, comment="c")]))))
    extension = {"ARROW:extension:name": kind.extension_name, "ARROW:extension:metadata": parameters}
    assert told(described(pa.schema([("a", plain)]), by)) == ({}, {"a": {"comment": "c", **extension}})
    assert told(described(pa.schema([("a", pa.int8())]), by)) == ({}, {"a": {"comment": "c"}})


def test_columns_of_a_join() -> None:
    right = annotated(
        pa.schema([numbered("k", pa.int64(), 1), numbered("b", pa.int8(), 2), field("c", pa.int8(), u="m")])
    )
    left = annotated(SCHEMA)
    columns = [("a", "a", "k"), ("at", "at", None), ("s", "s", None), ("b", None, "b"), ("c", None, "c")]
    table, found = told(metadata_of_join(left, right, columns))
    assert list(table) == ["geo"]
    assert found == {**told(SCHEMA)[1], "a": {ID: "1"}, "c": {"u": "m"}}
    table, _ = told(metadata_of_join(right, left, [("at_right", None, "at")]))
    assert json.loads(table["geo"]) == json.loads(GEO.replace('"at"', '"at_right"'))
    assert is_empty(metadata_of_join(left, NO_METADATA, [("a", "a", "k")]))
