"""The key hash against a plain Python model of its definition (`_native/src/exchange/hash.rs`)."""

from __future__ import annotations

import datetime as dt
import math
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmflink.core.keys.columns import canonical_bytes, encode_keys
from shmflink.core.keys.groups import key_groups, key_hash, owners, range_of

MASK = 2**64 - 1
P0, P1, P2 = 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3
GOLDEN = 0x9E3779B97F4A7C15
SEEDS = {
    type(None): 0x6E756C6C00000001,
    int: 0x696E740000000002,
    float: 0x666C6F6174000003,
    bool: 0x626F6F6C00000004,
    str: 0x7374720000000005,
    bytes: 0x6279746573000006,
}
SEED_OTHER = 0x6F74686572000007
SEED_LIST = 0x6C6973740000000F


def fmix(x: int) -> int:
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def fold(a: int, b: int) -> int:
    product = a * b
    return product & MASK ^ product >> 64


def pair(h: int, x: int) -> int:
    return fmix((h * GOLDEN + x) & MASK)


def little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def hash_bytes(data: bytes, seed: int) -> int:
    n = len(data)
    h = seed ^ fold(n ^ P0, P1)
    if n >= 16:
        at = 0
        while n - at > 16:
            h = fold(little(data[at : at + 8]) ^ P1, little(data[at + 8 : at + 16]) ^ h)
            at += 16
        a, b = little(data[-16:-8]), little(data[-8:])
    elif n >= 8:
        a, b = little(data[:8]), little(data[-8:])
    elif n >= 4:
        a, b = little(data[:4]), little(data[-4:])
    elif n:
        a, b = data[0] << 16 | data[n // 2] << 8 | data[-1], 0
    else:
        a = b = 0
    return fold(P2 ^ n, fold(a ^ P1, b ^ h))


def model(value: Any) -> int:
    """The hash of a Python key."""
    seed = SEEDS.get(type(value), SEED_OTHER)
    match value:
        case None:
            return fmix(seed)
        case bool():
            return fmix(int(value) ^ seed)
        case int() if -(2**63) <= value < 2**63:
            return fmix(value & MASK ^ seed)
        case float():
            bits = 0x7FF8 << 48 if math.isnan(value) else little(struct.pack("<d", value + 0.0))
            return fmix(bits ^ seed)
        case str():
            return hash_bytes(value.encode(), seed)
        case bytes():
            return hash_bytes(value, seed)
    return hash_bytes(canonical_bytes(value), SEED_OTHER)


def hashes(column: pa.Array) -> list[int]:
    return key_hash([column]).to_pylist()


INT64 = st.integers(-(2**63), 2**63 - 1)
ANY_KEY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.text(max_size=40),
    st.binary(max_size=70),
    st.tuples(INT64, st.text(max_size=5)),
    st.dates(),
    st.decimals(allow_nan=False),
)


@pytest.mark.parametrize("keys", [INT64, st.floats(), st.booleans(), st.text(max_size=80), st.binary(max_size=80)])
def test_keys_of_one_type_hash_as_the_model(keys: st.SearchStrategy[Any]) -> None:
    @given(st.lists(st.none() | keys, max_size=30))
    def check(values: list[Any]) -> None:
        assert hashes(encode_keys(values)) == [model(value) for value in values]

    check()


@given(st.lists(ANY_KEY, max_size=30))
def test_mixed_keys_hash_as_the_model(values: list[Any]) -> None:
    """[U6] [U7]"""
    assert hashes(encode_keys(values)) == [model(value) for value in values]


@given(st.lists(ANY_KEY, min_size=1, max_size=10))
def test_a_key_hashes_alike_whatever_its_column(values: list[Any]) -> None:
    """[U7]"""
    mixed = encode_keys([*values, (1, "forces canonical bytes")])
    assert hashes(mixed)[:-1] == [hashes(encode_keys([value]))[0] for value in values]


@given(st.lists(st.none() | st.integers(0, 127), min_size=1, max_size=20), st.integers(0, 5))
def test_all_integer_types_agree(values: list[int | None], offset: int) -> None:
    kinds = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    columns = [pa.array(values, kind) for kind in kinds] + [pa.array(values, pa.int64()).dictionary_encode()]
    assert all(hashes(column[offset:]) == [model(v) for v in values[offset:]] for column in columns)


@given(st.lists(st.none() | st.text(max_size=20), min_size=1, max_size=20), st.integers(0, 5))
def test_all_string_and_binary_types_agree(values: list[str | None], offset: int) -> None:
    texts = [pa.array(values, kind) for kind in (pa.utf8(), pa.large_utf8(), pa.string_view())]
    texts.append(pa.array(values, pa.utf8()).dictionary_encode())
    assert all(hashes(column[offset:]) == [model(v) for v in values[offset:]] for column in texts)
    data = [None if value is None else value.encode() for value in values]
    assert all(hashes(pa.array(data, kind)) == [model(v) for v in data] for kind in (pa.binary(), pa.binary_view()))


INSTANTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))


@given(st.lists(st.none() | INSTANTS, max_size=20))
def test_instants_hash_alike_in_every_unit(values: list[dt.datetime | None]) -> None:
    whole = [None if value is None else value.replace(microsecond=0) for value in values]
    columns = [pa.array(whole, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")]
    assert all(hashes(column) == hashes(columns[0]) for column in columns)
    zoned = hashes(pa.array(whole, pa.timestamp("s", "UTC")))
    assert all(a != b for a, b, value in zip(zoned, hashes(columns[0]), whole, strict=True) if value is not None)


@given(st.lists(st.none() | st.decimals(-(10**9), 10**9, places=2), max_size=20))
def test_decimals_hash_alike_at_every_scale(values: list[Any]) -> None:
    columns = [pa.array(values, kind) for kind in (pa.decimal128(20, 2), pa.decimal128(30, 7), pa.decimal256(50, 4))]
    assert all(hashes(column) == hashes(columns[0]) for column in columns)


@given(st.lists(st.none() | st.lists(st.none() | INT64, max_size=4), max_size=12))
def test_lists_combine_their_items(values: list[list[int | None] | None]) -> None:
    def expected(items: list[int | None] | None) -> int:
        if items is None:
            return model(None)
        h = fmix(len(items) ^ SEED_LIST)
        for item in items:
            h = pair(h, model(item))
        return h

    for kind in (pa.list_(pa.int64()), pa.large_list(pa.int64())):
        assert hashes(pa.array(values, kind)) == [expected(items) for items in values]


@given(st.lists(st.tuples(INT64, st.text(max_size=9), st.booleans()), min_size=1, max_size=20))
def test_several_columns_combine_in_order(rows: list[tuple[int, str, bool]]) -> None:
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    expected = [pair(pair(model(a), model(b)), model(c)) for a, b, c in rows]
    assert key_hash(columns).to_pylist() == expected


@given(st.lists(INT64, min_size=1, max_size=50), st.integers(1, 32768), st.data())
def test_key_groups_and_owners(values: list[int], max_parallelism: int, data: st.DataObject) -> None:
    parallelism = data.draw(st.integers(1, max_parallelism))
    keys = encode_keys(values)
    groups = [((model(v) * GOLDEN & MASK) >> 32) % max_parallelism for v in values]
    assert key_groups(keys, max_parallelism).tolist() == groups
    owned = owners(keys, max_parallelism, parallelism).tolist()
    assert owned == [group * parallelism // max_parallelism for group in groups]
    ranges = [range_of(subtask, max_parallelism, parallelism) for subtask in owned]
    assert all(group in own for group, own in zip(groups, ranges, strict=True))
