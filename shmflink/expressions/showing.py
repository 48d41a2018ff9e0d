"""For examples in docstrings: prints the result of an expression."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa

from shmflink.expressions.binding import bind
from shmflink.expressions.node import Node

__all__ = ["show"]


def show(*expressions: Node, **columns: Any) -> None:
    """Prints `name: [values]` for each expression over these columns. Strings, numbers and lists print as in Python;
    dates, times and intervals as `str` writes them."""
    batch = pa.record_batch({name: pa.array(values) for name, values in columns.items()})
    bound = bind(expressions, batch.schema)
    for field, values in zip(bound.fields, bound.evaluate(batch), strict=True):
        texts = [_text(value) for value in values.to_pylist()]
        sys.stdout.write(f"{field.name}: [{', '.join(texts)}]\n")


def _text(value: Any) -> str:
    return str(value) if hasattr(value, "isoformat") or hasattr(value, "total_seconds") else repr(value)
