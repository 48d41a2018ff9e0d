"""Value semantics: what a function does to an object after it handed it over, or before, is not seen by state."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
from typing import Any, Final

from shmflink.core.row import Row, create_row, field_names_of

__all__ = ["IMMUTABLE", "isolated"]

IMMUTABLE: Final[frozenset[type]] = frozenset(
    {int, float, str, bytes, bool, type(None), complex, decimal.Decimal, dt.date, dt.datetime, dt.time, dt.timedelta}
)


def isolated(value: Any) -> Any:
    """`value` itself where nobody can change it in place, else a copy."""
    kind = type(value)
    if kind in IMMUTABLE:
        return value
    if kind is list:
        return value.copy() if IMMUTABLE.issuperset(map(type, value)) else list(map(isolated, value))
    if kind is tuple:
        return value if IMMUTABLE.issuperset(map(type, value)) else tuple(map(isolated, value))
    if kind is dict:
        return {key: item if type(item) in IMMUTABLE else isolated(item) for key, item in value.items()}
    if kind is Row:
        names = field_names_of(value)
        values = [item if type(item) in IMMUTABLE else isolated(item) for item in value]
        return create_row(None if names is None else list(names), values, value.get_row_kind())
    return copy.deepcopy(value)
