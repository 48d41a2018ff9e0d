"""The string form of records, as PyFlink prints and writes them.

`print_lines` follows `DataStream.print` (undeclared objects by Python's `str`, rows as ``+I[a,1]``);
`java_lines` follows the `toString` of Java's types, which is what Flink's string encoder writes (rows as
``+I[a, 1]``, ``true``, ``null``).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from shmflink.core.batch import Batch
from shmflink.core.lazy_imports import pc
from shmflink.core.row import Row
from shmflink.core.rows import shape_of_columns
from shmflink.core.types.shapes import PICKLE, Shape
from shmflink.errors import DataFormatError

__all__ = ["java_lines", "java_text", "join_lines", "print_lines"]


def print_lines(batch: Batch) -> list[str]:
    """One string for each record, as `print()` shows it."""
    return _lines(batch, _print_text)


def java_lines(batch: Batch) -> list[str]:
    """One string for each record, as Java's `toString` gives it."""
    return _lines(batch, java_text)


def java_text(shape: Shape, value: Any) -> str:
    """Java's string form of a value of a declared type; Python's own where Java has none."""
    if value is None:
        return "null"
    if isinstance(shape, tuple):
        return _composite_text(shape, value)
    render = _SCALARS.get(shape)
    if render is not None:
        return render(value)
    return str(value)


def join_lines(lines: list[str], prefix: str, charset: str) -> bytes:
    """The encoded lines, each with the prefix and an LF.

    Raises:
        DataFormatError: the charset lacks a character.
    """
    if not lines:
        return b""
    text = f"\n{prefix}".join(lines)
    try:
        return f"{prefix}{text}\n".encode(charset)
    except UnicodeEncodeError as error:
        raise DataFormatError(
            f"the character {error.object[error.start]!r} cannot be written in {charset}; choose UTF-8"
        ) from error


def _lines(batch: Batch, text: Callable[[Shape, Any], str]) -> list[str]:
    declared, inferred = _shapes(batch)
    if batch.is_columnar and (declared or inferred) == "str":
        strings: list[str] = pc.fill_null(batch.columns().column(0), "null" if declared else "None").to_pylist()
        return strings
    # A loop per row, because only Python knows the string form of an arbitrary object.
    if declared is None or declared == PICKLE:
        return [value if type(value) is str else str(value) for value in batch.rows()]
    return [text(declared, value) for value in batch.rows()]


def _shapes(batch: Batch) -> tuple[Shape | None, Shape | None]:
    """The declared shape (or that of a file's columns), and the shape in which undeclared rows travel."""
    if batch.row_type is not None:
        return batch.row_type.shape, None
    if not batch.is_columnar:
        return None, None
    wire = batch.to_wire()
    inferred = shape_of_columns(wire)
    if inferred is not None:
        return None, inferred
    names = batch.columns().schema.names
    return ("row", tuple(names), ("arrow",) * len(names)), None


def _print_text(shape: Shape, value: Any) -> str:
    if isinstance(shape, tuple) and shape[0] == "row" and isinstance(value, Row):
        return f"{value.get_row_kind()}[{','.join(map(str, value))}]"
    return java_text(shape, value)


def _composite_text(shape: Shape, value: Any) -> str:
    kind = shape[0]
    if kind == "list":
        return f"[{', '.join([java_text(shape[1], item) for item in value])}]"
    if kind == "map":
        entries = [f"{java_text(shape[1], key)}={java_text(shape[2], item)}" for key, item in value.items()]
        return f"{{{', '.join(entries)}}}"
    parts = map(java_text, shape[-1], value)
    return f"({','.join(parts)})" if kind == "tuple" else f"{value.get_row_kind()}[{', '.join(parts)}]"


def _float_text(value: float, *, single: bool = False) -> str:
    """Java's Double.toString and Float.toString: plain from 1e-3 to 1e7, else with an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    digits = np.float32(value) if single else np.float64(value)
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return str(np.format_float_positional(digits, unique=True, trim="0"))
    text = np.format_float_scientific(digits, unique=True, trim="0", exp_digits=1)
    return text.replace("e", "E").replace("E+", "E")


def _bytes_text(value: bytes | bytearray) -> str:
    """A Java byte array inside a tuple or row: its signed numbers."""
    return f"[{', '.join([str(byte - 256 if byte > 127 else byte) for byte in value])}]"


def _timestamp_text(value: dt.datetime) -> str:
    """java.sql.Timestamp.toString: the fraction without trailing zeros, but at least one digit."""
    fraction = f"{value.microsecond:06d}".rstrip("0") or "0"
    return f"{value:%Y-%m-%d %H:%M:%S}.{fraction}"


_SCALARS: Final[dict[str, Callable[[Any], str]]] = {
    "bool": lambda value: "true" if value else "false",
    "f64": _float_text,
    "f32": lambda value: _float_text(value, single=True),
    "bytes": _bytes_text,
    "pickle": lambda value: _bytes_text(value) if isinstance(value, (bytes, bytearray)) else str(value),
    "time": lambda value: value.strftime("%H:%M:%S"),
    "ts": _timestamp_text,
}
