"""Tables of random types and values: their edges, nulls, and the forms that other tools write."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

import pyarrow as pa

__all__ = ["KINDS", "Kind", "random_table"]

_EPOCH: Final = dt.datetime(1970, 1, 1)
_WORDS: Final = (
    "",
    "a",
    "b",
    "ab",
    "A",
    " a",
    "a,b",
    'a"b',
    "line\nend",
    "ä",
    "日本",
    "0",
    "-1",
    "null",
    "x" * 40,
    "true",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of column and how to draw its values."""

    name: str
    type: pa.DataType
    draw: Callable[[random.Random], Any]
    is_number: bool = False
    is_ordered: bool = True
    is_nested: bool = False

    def array(self, values: list[Any]) -> pa.Array:
        """The values in this type; UUIDs come as text."""
        if self.name == "uuid":
            return _uuids(values)
        if self.name == "struct of uuid":
            inner = [value or {} for value in values]
            parts = [_uuids([value.get("u") for value in inner]), pa.array([v.get("w") for v in inner], pa.uint32())]
            mask = pa.array([value is None for value in values], pa.bool_())
            return pa.StructArray.from_arrays(parts, fields=list(self.type), mask=mask)
        if pa.types.is_dictionary(self.type):
            return pa.array(values, self.type.value_type).dictionary_encode().cast(self.type)
        return pa.array(values, self.type)


def _uuids(values: list[str | None]) -> pa.Array:
    raw = [None if value is None else uuid.UUID(value).bytes for value in values]
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(raw, pa.binary(16)))


def _integer(kind: pa.DataType) -> Kind:
    bits = kind.bit_width
    low, high = (
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if pa.types.is_signed_integer(kind) else (0, (1 << bits) - 1)
    )

    def draw(rng: random.Random) -> int:
        return rng.choice((low, high, max(low, min(high, rng.randint(-3, 3))), rng.randint(low, high)))

    return Kind(str(kind), kind, draw, is_number=True)


def _decimal(precision: int, scale: int) -> Kind:
    def draw(rng: random.Random) -> Decimal:
        most = 10**precision - 1
        whole = rng.choice((0, 1, -1, most, -most, rng.randint(-most, most), rng.randint(-500, 500)))
        whole = max(-most, min(most, whole))
        return Decimal(whole).scaleb(-scale, _EXACT)

    return Kind(f"decimal({precision},{scale})", pa.decimal128(precision, scale), draw, is_number=True)


def _double(rng: random.Random) -> float:
    return rng.choice((0.0, 0.5, -1.25, 1e300, -1e-300, rng.randint(-(10**6), 10**6) / 64))


def _day(rng: random.Random) -> dt.date:
    return rng.choice((dt.date(9999, 12, 31), dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(2024, 2, 29)))


def _moment(rng: random.Random) -> dt.datetime:
    early, late = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
    near = _EPOCH + dt.timedelta(microseconds=rng.randint(-(10**16), 10**16))
    return rng.choice((early, late, _EPOCH, near))


def _near(rng: random.Random) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=rng.randint(-5 * 10**15, 5 * 10**15))


def _milli(rng: random.Random) -> dt.datetime:
    moment = _moment(rng)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _zoned(rng: random.Random) -> dt.datetime:
    return _near(rng).replace(tzinfo=dt.UTC)


def _time(rng: random.Random) -> dt.time:
    return rng.choice((dt.time(0), dt.time(23, 59, 59, 999999), dt.time(12, 30, 1, rng.randint(0, 999999))))


def _word(rng: random.Random) -> str:
    return rng.choice(_WORDS)


def _bytes(rng: random.Random) -> bytes:
    return rng.choice((b"", b"\x00", b"\xff\xfe", b"abc", rng.randbytes(rng.randint(1, 30))))


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.choice((0, 1, (1 << 128) - 1, rng.getrandbits(128)))))


def _maybe(rng: random.Random, draw: Callable[[random.Random], Any]) -> Any:
    return None if rng.random() < 0.2 else draw(rng)


def _integers(rng: random.Random) -> list[Any]:
    return [_maybe(rng, lambda r: r.randint(-5, 5)) for _ in range(rng.randint(0, 3))]


def _texts(rng: random.Random) -> list[Any]:
    return [_maybe(rng, _word) for _ in range(rng.randint(0, 3))]


def _record(rng: random.Random) -> dict[str, Any]:
    return {"x": _maybe(rng, lambda r: r.randint(-5, 5)), "y": _maybe(rng, _word)}


def _records(rng: random.Random) -> list[Any]:
    return [_maybe(rng, _record) for _ in range(rng.randint(0, 3))]


def _identified(rng: random.Random) -> dict[str, Any]:
    return {"u": _maybe(rng, _uuid), "w": _maybe(rng, lambda r: r.choice((0, 2**32 - 1, r.getrandbits(32))))}


def _lookup(rng: random.Random) -> list[tuple[str, Any]]:
    return [
        (key, _maybe(rng, lambda r: r.randint(-5, 5))) for key in rng.sample(("a", "b", "", "ä"), rng.randint(0, 3))
    ]


_EXACT: Final = Context(prec=60)
_RECORD: Final = pa.struct({"x": pa.int64(), "y": pa.string()})

KINDS: Final = (
    *map(_integer, (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    _integer(pa.uint64()),
    *(_decimal(*digits) for digits in ((5, 2), (9, 0), (18, 4), (38, 0), (38, 10), (38, 38))),
    Kind("double", pa.float64(), _double, is_number=True),
    Kind("bool", pa.bool_(), lambda rng: rng.random() < 0.5),
    Kind("string", pa.string(), _word),
    Kind("large_string", pa.large_string(), _word),
    Kind("string_view", pa.string_view(), _word),
    Kind("binary", pa.binary(), _bytes),
    Kind("uuid", pa.uuid(), _uuid),
    Kind("dictionary", pa.dictionary(pa.int32(), pa.string()), _word),
    Kind("date", pa.date32(), _day),
    Kind("time", pa.time64("us"), _time),
    Kind("timestamp[us]", pa.timestamp("us"), _moment),
    Kind("timestamp[ms]", pa.timestamp("ms"), _milli),
    Kind("timestamp[ns]", pa.timestamp("ns"), _near),
    Kind("timestamp[us, UTC]", pa.timestamp("us", "UTC"), _zoned),
    Kind("list<int64>", pa.list_(pa.int64()), _integers, is_ordered=False, is_nested=True),
    Kind("list<string>", pa.list_(pa.string()), _texts, is_ordered=False, is_nested=True),
    Kind("struct", _RECORD, _record, is_ordered=False, is_nested=True),
    Kind("list<struct>", pa.list_(_RECORD), _records, is_ordered=False, is_nested=True),
    Kind(
        "struct of uuid", pa.struct({"u": pa.uuid(), "w": pa.uint32()}), _identified, is_ordered=False, is_nested=True
    ),
    Kind("map<string, int64>", pa.map_(pa.string(), pa.int64()), _lookup, is_ordered=False, is_nested=True),
    Kind("nulls", pa.string(), lambda _: None),
)


def random_table(rng: random.Random, kinds: tuple[Kind, ...] = KINDS) -> tuple[pa.Table, list[Kind]]:
    """One to five columns `c0`, `c1`, ... of up to a few hundred rows, and the kind of each."""
    chosen = [rng.choice(kinds) for _ in range(rng.randint(1, 5))]
    rows = rng.choice((0, 1, 2, 5, 17, 60, 300))
    columns = {}
    for index, kind in enumerate(chosen):
        null_share = rng.choice((0.0, 0.1, 0.6))
        pool = [kind.draw(rng) for _ in range(rng.choice((2, 5, max(1, rows))))]
        values = [None if rng.random() < null_share else rng.choice(pool) for _ in range(rows)]
        columns[f"c{index}"] = kind.array(values)
    return pa.table(columns), chosen
