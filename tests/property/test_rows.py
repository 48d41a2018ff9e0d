"""Rows of any kind come back from columns, from the wire and from slices exactly as they were."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmflink.core.batch import Batch
from shmflink.core.keys.columns import canonical_bytes, decode_keys, encode_keys, key_values
from shmflink.core.row import Row
from shmflink.core.rows import RowCodec, decode, encode
from shmflink.core.types.conform import narrow_value
from shmflink.core.types.shapes import Shape
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError

INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS = {
    "int": INT64,
    "float": st.floats(),
    "str": st.text(),
    "bytes": st.binary(),
    "bool": st.booleans(),
    "date": st.dates(),
    "datetime": st.datetimes(),
    "decimal": st.decimals(),
}
ANY_SCALAR = st.one_of(st.none(), st.integers(), *SCALARS.values())
ANYTHING = st.recursive(
    ANY_SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(lambda values: Row(*values)),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(lambda fields: Row(**fields)),
    ),
    max_leaves=6,
)


@st.composite
def alike(draw: st.DrawFn) -> list[Any]:
    """Tuples, named rows or scalars of one shape, with Nones among the fields."""
    kinds = draw(st.lists(st.sampled_from(sorted(SCALARS)), min_size=1, max_size=4))
    fields = st.tuples(*(st.one_of(st.none(), SCALARS[kind]) for kind in kinds))
    rows = draw(st.lists(fields, max_size=20))
    form = draw(st.sampled_from(["tuple", "row", "positions", "nested", "scalar"]))
    names = [f"c{index}" for index in range(len(kinds))]
    match form:
        case "row":
            return [Row(**dict(zip(names, row, strict=True))) for row in rows]
        case "positions":
            return [Row(*row) for row in rows]
        case "nested":
            return [(row, index) for index, row in enumerate(rows)]
        case "scalar":
            return [row[0] for row in rows]
        case _:
            return rows


def same(left: Any, right: Any) -> bool:
    """Equal in type, value and sign of zero; `repr` tells all of that."""
    return repr(left) == repr(right)


@given(st.one_of(alike(), st.lists(ANYTHING, max_size=10)))
def test_rows_come_back_from_columns(rows: list[Any]) -> None:
    assert same(decode(encode(rows)), rows)


@given(st.one_of(alike(), st.lists(ANYTHING, max_size=10)), st.data())
def test_rows_come_back_from_the_wire_and_from_slices(rows: list[Any], data: st.DataObject) -> None:
    stamps = pa.array(range(len(rows)), pa.int64())
    wire = Batch.of_rows(rows, timestamps=stamps).to_wire()
    offset = data.draw(st.integers(0, len(rows)))
    length = data.draw(st.integers(0, len(rows) - offset))
    for part in (Batch.from_wire(wire).slice(offset, length), Batch.from_wire(wire.slice(offset, length))):
        assert same(part.rows(), rows[offset : offset + length])
        assert part.timestamps == stamps.slice(offset, length)


@given(st.lists(st.tuples(st.integers(), st.floats(), st.one_of(st.none(), st.text()), st.booleans())))
def test_conforming_natively_is_conforming_in_python(rows: list[Any]) -> None:
    declared = Types.TUPLE([Types.SHORT(), Types.FLOAT(), Types.STRING(), Types.BOOLEAN()])
    narrowed = RowCodec(declared).narrow(rows)
    assert same(narrowed, [narrow_value(declared.shape, row) for row in rows])
    assert same(decode(encode(narrowed, declared.shape)), narrowed)
    assert RowCodec(declared).conform(narrowed) is narrowed
    try:
        conformed = [declared.conform(row) for row in rows]
    except TypeMismatchError:
        with pytest.raises(TypeMismatchError, match="is beyond"):
            RowCodec(declared).conform(rows)
    else:
        assert same(RowCodec(declared).conform(rows), conformed)
        assert same(conformed, narrowed)


KEYS = st.recursive(
    ANY_SCALAR.filter(lambda key: not (isinstance(key, dt.datetime) and key.fold)),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)


@given(st.lists(KEYS, max_size=20))
def test_keys_are_equal_exactly_where_their_canonical_bytes_are(keys: list[Any]) -> None:
    column = encode_keys(keys)
    decoded = decode_keys(column)
    expected = [canonical_bytes(key) for key in keys]
    assert [canonical_bytes(key) for key in key_values(column)] == expected
    assert len(set(decoded)) == len(set(expected))
    for key, hashable in zip(keys, decoded, strict=True):
        alone = decode_keys(encode_keys([key]))[0]
        assert alone == hashable
        assert type(alone) is type(hashable)


def test_shapes_are_plain_data() -> None:
    shape: Shape = Types.ROW([Types.INT()]).shape
    assert shape == ("row", ("f0",), ("i32",))
