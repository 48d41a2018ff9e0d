"""The rows of each shape, piece by piece. A piece is seeded by its first row: made twice, it is the same.

Columns are named as `perf/peers/shape_queries.py` says. `value` is less than 100 and has two decimals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from perf.data import FIRST_MS, SEED

__all__ = ["SHAPES", "Shape", "Written", "piece"]

SPAN_MS: Final = 60_000
JITTER_MS: Final = 500
KEYS: Final = 1_000
ROWS_PER_KEY_MIN: Final = 2_000
"""Small sizes have fewer keys: no group has nulls only, of which engines do not agree what the sum is."""

WORDS: Final = ("view", "click", "cabin", "buy", "return", "search", "label", "open")
Random = np.random.Generator
Texts = Callable[[Random, int], pa.Array]


@dataclass(frozen=True, slots=True)
class Written:
    """How files are written: by which library, with which of its settings."""

    by: str = "pyarrow"
    group_rows: int = 1 << 17
    files: int = 8
    settings: tuple[tuple[str, Any], ...] = (("compression", "snappy"),)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of data. `rows` is the full size."""

    name: str
    what: str
    texts: Texts
    rows: int = 4_000_000
    keys: int = KEYS
    nulls: float = 0.0
    columns: int = 5
    is_skewed: bool = False
    is_time_random: bool = False
    has_string_keys: bool = False
    is_decimal: bool = False
    is_nested: bool = False
    written: Written = Written()


def piece(shape: Shape, first: int, count: int, total: int) -> pa.Table:
    """The rows from `first` on, of `total`."""
    random = np.random.Generator(np.random.PCG64([SEED, first]))
    columns = {
        "id": pa.array(np.arange(first, first + count, dtype=np.int64)),
        "ts": _times(shape, random, first, count, total),
        "key": _keys(shape, random, count, total),
        "value": _values(shape, random, count),
        "text": _with_nulls(shape, random, shape.texts(random, count)),
    }
    if shape.columns < len(columns):
        columns = {name: columns[name] for name in ("key", "value", "text")}
    if shape.is_nested:
        columns |= _nested(random, count)
    for number in range(shape.columns - len(columns) if shape.columns > len(columns) else 0):
        columns[f"c{number:03d}"] = _small_numbers(random, count, number)
    return pa.table(columns)


def _times(shape: Shape, random: Random, first: int, count: int, total: int) -> pa.Array:
    """Ordered within half a second, or in any order."""
    ordered = (np.arange(first, first + count) * SPAN_MS // total) + random.integers(0, JITTER_MS, count)
    times = random.integers(0, SPAN_MS, count) if shape.is_time_random else np.minimum(ordered, SPAN_MS - 1)
    return pa.array(FIRST_MS + times, pa.timestamp("ms"))


def _keys(shape: Shape, random: Random, count: int, total: int) -> pa.Array:
    number_of_keys = max(2, min(shape.keys, total // ROWS_PER_KEY_MIN if shape.keys <= KEYS else total // 4))
    keys = random.integers(0, number_of_keys, count)
    if shape.is_skewed:
        keys = np.where(random.integers(0, 2, count).astype(bool), 1, keys)
    if shape.has_string_keys:
        return pa.array([f"customer-{number:x}" for number in range(number_of_keys)]).take(pa.array(keys))
    return pa.array(keys)


def _values(shape: Shape, random: Random, count: int) -> pa.Array:
    cents = random.integers(0, 10_000, count)
    if shape.is_decimal:
        return _with_nulls(shape, random, pa.array(cents / 100).cast(pa.decimal128(12, 2)))
    return _with_nulls(shape, random, pa.array(cents / 100))


def _with_nulls(shape: Shape, random: Random, values: pa.Array) -> pa.Array:
    if not shape.nulls:
        return values
    is_null = random.random(len(values)) < shape.nulls
    return pc.if_else(pa.array(is_null), pa.scalar(None, values.type), values)


def _nested(random: Random, count: int) -> dict[str, pa.Array]:
    """A struct with a string, a struct in it, and a list of none to three strings."""
    cities = pa.array([f"city-{number}" for number in range(500)])
    point = pa.StructArray.from_arrays([pa.array(random.random(count)) for _ in range(2)], ["x", "y"])
    place = pa.StructArray.from_arrays([cities.take(pa.array(random.integers(0, 500, count))), point], ["city", "at"])
    offsets = np.append(0, np.cumsum(random.integers(0, 4, count))).astype(np.int32)
    tags = pa.array(WORDS).take(pa.array(random.integers(0, len(WORDS), int(offsets[-1]))))
    return {"place": place, "tags": pa.ListArray.from_arrays(pa.array(offsets), tags)}


def _small_numbers(random: Random, count: int, number: int) -> pa.Array:
    """64 distinct numbers: integers and doubles in turn."""
    levels = random.integers(0, 64, count, dtype=np.uint8)
    return pa.array(levels * 0.25 if number % 2 else levels.astype(np.int64))


def _few(random: Random, count: int) -> pa.Array:
    return pa.array(WORDS).take(pa.array(random.integers(0, len(WORDS), count)))


def _of(distinct: int, length: int) -> Texts:
    """So many distinct strings of this length: a link with digits at its end."""

    def texts(random: Random, count: int) -> pa.Array:
        choices = _digits(np.random.Generator(np.random.PCG64([SEED, distinct, length])), distinct, length)
        return choices.take(pa.array(random.integers(0, distinct, count)))

    return texts


def _unique(length: int) -> Texts:
    return lambda random, count: _digits(random, count, length)


def _digits(random: Random, count: int, length: int) -> pa.Array:
    """Strings of random hexadecimal digits; the longer the string, the more are `a` in a row with `b`."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[random.integers(0, 16, count * length, dtype=np.uint8)]
    offsets = np.arange(0, (count + 1) * length, length, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits))


_SPARK: Final = Written(
    "pyarrow",
    1 << 20,
    8,
    (("compression", "snappy"), ("use_deprecated_int96_timestamps", True), ("write_page_index", True)),
)
_PLAIN: Final = Written(
    "pyarrow",
    1 << 17,
    8,
    (("compression", "zstd"), ("use_dictionary", False), ("data_page_version", "2.0")),
)

SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape
    for shape in (
        Shape("plain", "five columns, 10,000 texts of 20 characters", _of(10_000, 20)),
        Shape("slim", "three columns", _of(10_000, 20), columns=3),
        Shape("few_texts", "texts are 8 short words", _few),
        Shape("unique_texts", "texts of 12 characters, all different", _unique(12)),
        Shape("long_texts", "1,000 texts of 200 characters", _of(1_000, 200)),
        Shape("long_unique", "texts of 80 characters, all different", _unique(80), rows=2_000_000),
        Shape("many_keys", "a key for each four rows", _of(10_000, 20), keys=KEYS + 1),
        Shape("string_keys", "keys are strings, one for each four rows", _few, keys=KEYS + 1, has_string_keys=True),
        Shape("skew", "half of the rows have one key", _of(10_000, 20), is_skewed=True),
        Shape("nulls_5", "5 % of values and texts are null", _of(10_000, 20), nulls=0.05),
        Shape("nulls_95", "95 % of values and texts are null", _of(10_000, 20), nulls=0.95),
        Shape("wide_50", "50 columns", _of(10_000, 20), rows=2_000_000, columns=50),
        Shape("wide_306", "306 columns", _of(10_000, 20), rows=1_000_000, columns=306),
        Shape("wide_500", "500 columns", _of(10_000, 20), rows=500_000, columns=500),
        Shape("decimals", "values are decimals", _of(10_000, 20), is_decimal=True),
        Shape("nested", "a struct in a struct and a list beside", _of(10_000, 20), rows=2_000_000, is_nested=True),
        Shape("small_groups", "row groups of 10,000 rows", _of(10_000, 20), written=Written(group_rows=10_000)),
        Shape("huge_groups", "one file, two row groups", _of(10_000, 20), written=Written(group_rows=1 << 21, files=1)),
        Shape("time_random", "event time in any order", _of(10_000, 20), is_time_random=True),
        Shape("by_spark", "as Spark writes: 96-bit timestamps, large groups", _of(10_000, 20), written=_SPARK),
        Shape("v2_zstd", "pages V2, zstd, no dictionary", _of(10_000, 20), written=_PLAIN),
        Shape("by_duckdb", "written by DuckDB", _of(10_000, 20), written=Written("duckdb")),
        Shape("by_polars", "written by Polars", _of(10_000, 20), written=Written("polars", settings=())),
    )
}
