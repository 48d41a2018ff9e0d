"""Distributes rows to folders by their values, whole batches at a time.

Each partition column becomes codes (one per distinct value) and the names of its folders; rows are sorted by their
combined codes once, and each folder's rows are sliced out together. Only distinct values pass through Python one by
one.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink.connectors.file_system.writing.time_pattern import TimePattern
from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import taken
from shmflink.errors import ConfigurationError, TypeMismatchError

__all__ = ["NULL_FOLDER", "Partitions", "TextOfColumn", "TextOfTime", "ValuesOfColumn", "without_columns"]

NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"

Codes = npt.NDArray[np.int64]

_MINUTE_SECONDS: Final = 60
_TEXTS_KEPT_MAX: Final = 4096


class TextOfColumn(ABC):
    """Derives folder names from one column. Picklable."""

    @abstractmethod
    def codes(self, rows: pa.RecordBatch) -> tuple[Codes, list[str]]:
        """For each row the index of its folder; and the folders' distinct names."""


class ValuesOfColumn(TextOfColumn):
    """``column=value``."""

    def __init__(self, column: str) -> None:
        self._column = column

    def codes(self, rows: pa.RecordBatch) -> tuple[Codes, list[str]]:
        column = column_of(rows, self._column)
        if isinstance(column, pa.DictionaryArray):
            column = column.dictionary_decode()
        if not _has_text(column.type):
            raise TypeMismatchError(f"column {self._column!r} of type {column.type} cannot be used for folder names")
        indices, values = _encoded(column)
        prefix = _quoted(self._column) + "="
        folders = [prefix + (NULL_FOLDER if value is None else _quoted(value)) for value in _texts(values)]
        return _merged(indices, folders)


class TextOfTime(TextOfColumn):
    """``2024-02-29--12`` of a timestamp or date, or ``name=2024-02-29--12``."""

    def __init__(self, column: str, pattern: str, timezone_id: str, name: str | None) -> None:
        self._column = column
        self._prefix = "" if name is None else _quoted(name) + "="
        self._local = TimePattern(pattern, timezone_id)
        self._as_is = TimePattern(pattern, "UTC")

    def codes(self, rows: pa.RecordBatch) -> tuple[Codes, list[str]]:
        column = column_of(rows, self._column)
        kind = column.type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise TypeMismatchError(f"column {self._column!r} has the type {kind}: folders by time need a timestamp")
        is_instant = pa.types.is_timestamp(kind) and kind.tz is not None
        pattern = self._local if is_instant else self._as_is
        # Zones are whole minutes apart, so that a coarser step would cut through another zone's hours or days.
        step = min(pattern.finest_seconds, _MINUTE_SECONDS) if is_instant else pattern.finest_seconds
        seconds = _floor_seconds(column)
        steps = pc.subtract(seconds, _remainder(seconds, step)) if step > 1 else seconds
        indices, values = _encoded(steps)
        folders = [
            self._prefix + (NULL_FOLDER if value is None else _quoted_path(pattern.text(value)))
            for value in values.to_pylist()
        ]
        return _merged(indices, folders)


class Partitions:
    """Splits rows by the folders of several columns, one inside the other. Picklable."""

    def __init__(self, texts: Sequence[TextOfColumn]) -> None:
        self._texts = tuple(texts)

    def split(self, rows: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Each folder once, its rows in order and in their own memory."""
        codes, folders = self._texts[0].codes(rows)
        for text in self._texts[1:]:
            inner, names = text.codes(rows)
            # Back to few codes after each column, so that they never overflow.
            pairs, codes = np.unique(codes * len(names) + inner, return_inverse=True)
            folders = [f"{folders[pair // len(names)]}/{names[pair % len(names)]}" for pair in pairs]
        if len(folders) == 1:
            yield folders[0], rows
            return
        order, counts = _order(codes, len(folders))
        end = 0
        for folder, count in zip(folders, counts.tolist(), strict=True):
            end += count
            if count:
                # Taken one folder at a time: a slice would keep the rows of all folders in memory.
                yield folder, taken(rows, pa.array(order[end - count : end]))


def column_of(rows: pa.RecordBatch, name: str) -> pa.Array:
    """The column of that name. ConfigurationError with the nearest name if there is none."""
    if rows.schema.names.count(name) == 1:
        return rows.column(name)
    near = difflib.get_close_matches(name, rows.schema.names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(f"the sink partitions by {name!r}, but the rows have {', '.join(rows.schema.names)}{hint}")


def without_columns(rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The other columns. ConfigurationError if none is left."""
    if not names:
        return rows
    rest = rows.drop_columns(list(names))
    if rest.num_columns == 0:
        raise ConfigurationError(
            f"the sink partitions by all columns ({', '.join(names)}): no column is left for the files"
        )
    return rest


def _order(codes: Codes, count: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Row numbers by code, in their order within a code; and how many rows each code has."""
    counts = np.bincount(codes, minlength=count)
    # numpy sorts 16-bit numbers by radix sort.
    narrow = codes.astype(np.uint16) if count <= 1 << 16 else codes
    return np.argsort(narrow, kind="stable"), counts


def _encoded(column: pa.Array) -> tuple[Codes, pa.Array]:
    encoded = column.dictionary_encode("encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def _merged(indices: Codes, folders: list[str]) -> tuple[Codes, list[str]]:
    """The same with each folder once: several values may have one text (a minute of the same hour)."""
    numbers: dict[str, int] = {}
    renumbered = np.array([numbers.setdefault(folder, len(numbers)) for folder in folders], np.int64)
    return renumbered[indices] if len(indices) else indices, list(numbers)


def _floor_seconds(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_date32(kind):
        return pc.multiply(column.cast(pa.int32()).cast(pa.int64()), 86_400)
    if pa.types.is_date64(kind):
        column = column.cast(pa.timestamp("ms"))
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[column.type.unit]
    counts = column.cast(pa.int64())
    if per_second == 1:
        return counts
    return pc.divide(pc.subtract(counts, _remainder(counts, per_second)), per_second)


def _remainder(numbers: pa.Array, divisor: int) -> pa.Array:
    """The quotient rounded down; Arrow's division rounds toward zero."""
    remainder = pc.subtract(numbers, pc.multiply(pc.divide(numbers, divisor), divisor))
    return pc.if_else(pc.less(remainder, 0), pc.add(remainder, divisor), remainder)


def _has_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)) or bool(
        pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    )


def _texts(values: pa.Array) -> list[str | None]:
    if pa.types.is_null(values.type):
        return [None] * len(values)
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        values = values.cast(pa.timestamp(values.type.unit, "UTC"))
    texts: list[str | None] = values.cast(pa.string()).to_pylist()
    return texts


@lru_cache(_TEXTS_KEPT_MAX)
def _quoted(text: str) -> str:
    """Escapes as Hive and Spark do: characters that are special in a path or a shell become %XX."""
    return "".join([f"%{ord(char):02X}" if char in _SPECIAL else char for char in text])


def _quoted_path(text: str) -> str:
    """Checks a bucket's name, which may be a path but must stay below the base path."""
    return "/".join([_DOTS.get(part) or _quoted(part) for part in text.split("/")])


_DOTS: Final = {".": "%2E", "..": "%2E%2E"}
_SPECIAL: Final = frozenset({*map(chr, range(0x20)), "\x7f", *"\"#%'*/:=?\\{[]^"})
