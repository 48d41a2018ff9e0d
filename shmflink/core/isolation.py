"""Value semantics: changes that a function makes to an object it has received or emitted are invisible to others.

Passing a record on and accessing state both yield a value. Copies are made only of mutable objects, and only if
somebody else holds them: an object whose only reference is the one passed on needs no copy.
"""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import fractions
import pathlib
import re
import types
import uuid
import zoneinfo
from enum import Enum
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink import _core
from shmflink.core.row import Row, RowKind
from shmflink.core.time_units import Instant

__all__ = ["IMMUTABLE", "ISOLATION", "isolated"]

IMMUTABLE: Final[frozenset[type]] = frozenset(
    {int, float, str, bytes, bool, type(None), complex, decimal.Decimal, dt.date, dt.datetime, dt.time, dt.timedelta}
)
"""Exact types of immutable values."""

_NEVER_CHANGED: Final = (
    *(Enum, np.generic, uuid.UUID, pathlib.PurePath, fractions.Fraction, re.Pattern, range, Instant, dt.tzinfo, type),
    *(zoneinfo.ZoneInfo, frozenset, types.FunctionType, types.BuiltinFunctionType, types.ModuleType),
    *(pa.Array, pa.ChunkedArray, pa.RecordBatch, pa.Table, pa.Schema, pa.DataType, pa.Scalar),
)

# Numbers of `_native/src/rows/isolate.rs`.
_IS_IMMUTABLE: Final = 0
_IS_TUPLE: Final = 1
_IS_INSTANCE: Final = 2
_IS_FROZEN: Final = 3
_IS_OPAQUE: Final = 4


class _Plain:
    """A class whose instances have only attributes."""


_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_OWN_COPYING: Final = ("__reduce_ex__", "__reduce__", "__getstate__", "__new__")


def _kind_of(cls: type) -> int:
    """How instances of a class are inspected and copied."""
    if issubclass(cls, _NEVER_CHANGED) and not issubclass(cls, np.void):
        return _IS_IMMUTABLE
    if issubclass(cls, tuple):
        return _IS_TUPLE if not cls.__dictoffset__ else _IS_OPAQUE
    if not _is_plain(cls):
        return _IS_OPAQUE
    parameters = getattr(cls, "__dataclass_params__", None)
    return _IS_FROZEN if parameters is not None and parameters.frozen else _IS_INSTANCE


def _is_plain(cls: type) -> bool:
    """Whether `copy` would only copy `__dict__`."""
    bases = cls.__mro__[:-1]
    return (
        all(base.__flags__ & _HEAP_TYPE and not base.__dict__.get("__slots__") for base in bases)
        and cls.__basicsize__ == _Plain.__basicsize__
        and bool(cls.__dictoffset__)
        and all(getattr(cls, name, None) is getattr(object, name, None) for name in _OWN_COPYING)
        and not any(hasattr(cls, name) for name in ("__deepcopy__", "__copy__", "__setstate__", "__getnewargs_ex__"))
        and not hasattr(cls, "__getnewargs__")
    )


def _copied(value: Any) -> Any:
    """A copy of a value that is not plain. An object that cannot be copied (a lock, an open connection) is shared."""
    try:
        return copy.deepcopy(value)
    except (TypeError, ValueError, NotImplementedError, copy.Error):
        return value


ISOLATION: Final = _core.Isolation(Row, RowKind.INSERT, IMMUTABLE, _kind_of, _copied)
"""Distinguishes values that others can reach from those that only the receiver holds, and copies the former."""

isolated: Final = ISOLATION.isolated
"""`isolated(value)`: the value itself if it is immutable, otherwise a copy."""
