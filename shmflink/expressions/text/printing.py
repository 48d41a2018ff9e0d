"""`printf`: the format strings that Java and C have in common."""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

__all__ = ["formatted"]

_CONVERSION: Final = re.compile(r"%(?:(\d+)\$)?([-+ 0,#(]*)(\d+)?(\.\d+)?([a-zA-Z%])")
_PLAIN: Final = frozenset("doxXeEfgGs")


def formatted(patterns: pa.Array, columns: Sequence[pa.Array]) -> pa.Array:
    """Each row's values in its format; null if the format is null or does not fit the values.

    A loop per row in Python: formats are rare, and there is no kernel for them. Equal rows are formatted once.
    """
    known: dict[tuple[Any, ...], str | None] = {}
    texts: list[str | None] = []
    for row in zip(patterns.to_pylist(), *(column.to_pylist() for column in columns), strict=True):
        if row not in known:
            known[row] = _format(*row)
        texts.append(known[row])
    return pa.array(texts, pa.utf8())


def _format(pattern: str | None, *values: Any) -> str | None:
    if pattern is None:
        return None
    following = iter(values)

    def replaced(match: re.Match[str]) -> str:
        position, flags, width, precision, kind = match.groups()
        if kind == "%":
            return "%"
        if kind == "n":
            return "\n"
        value = values[int(position) - 1] if position else next(following)
        return _converted(value, flags, width or "", precision or "", kind)

    try:
        return _CONVERSION.sub(replaced, pattern)
    except (StopIteration, RuntimeError, IndexError, ValueError, TypeError):
        return None


def _converted(value: Any, flags: str, width: str, precision: str, kind: str) -> str:
    if value is None:
        text = "null"[: int(precision[1:] or 0)] if precision else "null"
        return f"%{'-' * ('-' in flags)}{width}s" % text
    if kind in "bB":
        text = str(value if isinstance(value, bool) else True).lower()
        return f"%{flags}{width}s" % (text.upper() if kind == "B" else text)
    if kind in "cC":
        return f"%{flags}{width}s" % (value if isinstance(value, str) else chr(value))
    if kind == "S":
        return str(f"%{flags}{width}{precision}s" % value).upper()
    if kind not in _PLAIN or ("," in flags and kind not in "df") or (kind in "doxX" and not isinstance(value, int)):
        raise ValueError(kind)
    if kind == "f":
        value = _rounded(value, int(precision[1:] or 0) if precision else 6)
    if "," in flags:
        sign = "+" if "+" in flags else ""
        text = format(value, f"{sign},{precision or '.6'}f") if kind == "f" else format(value, f"{sign},d")
        return text.ljust(int(width or 0)) if "-" in flags else text.rjust(int(width or 0))
    formatted_text: str = f"%{flags}{width}{precision}{kind}" % value
    return formatted_text


def _rounded(value: Any, digits: int) -> Any:
    """Rounds half up by the shortest decimal digits, as Java does: 2.25 to 2.3."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    exact = decimal.Decimal(repr(value) if isinstance(value, float) else value)
    return exact.quantize(decimal.Decimal(1).scaleb(-digits), decimal.ROUND_HALF_UP)
