"""Arrays, maps and rows as text, as Flink's `CAST` writes them: `[1, NULL]`, `{a=1, b=2}`, `(1, x)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.nested.lists import Lists, list_of
from shmflink.expressions.nested.maps import entries_of
from shmflink.expressions.registry import Values
from shmflink.expressions.vectors import columnwise

__all__ = ["nested_text"]

_ToText: TypeAlias = Callable[[Values], Values]
"""Values that are not nested, as `pa.string()`."""


@columnwise
def nested_text(column: pa.Array, to_text: _ToText) -> pa.Array:
    """One string for each array, map or row of the column; null if that is null."""
    return _text(column, to_text)


def _text(column: pa.Array, to_text: _ToText) -> pa.Array:
    kind = column.type
    if pa.types.is_struct(kind):
        fields = [_item_text(field, to_text) for field in column.flatten()]
        inside = pc.binary_join_element_wise(*fields, ", ") if fields else _same("", len(column))
        return _wrapped(inside, "(", ")", column)
    if pa.types.is_map(kind):
        entries = Lists.of(entries_of(column))
        keys, values = (_item_text(part, to_text) for part in entries.values.flatten())
        pairs = pc.binary_join_element_wise(keys, values, "=")
        return _wrapped(pc.binary_join(list_of(pairs, entries.lengths), ", "), "{", "}", column)
    if not pa.types.is_nested(kind):
        return to_text(column)
    lists = Lists.of(column)
    texts = _item_text(lists.values, to_text)
    return _wrapped(pc.binary_join(list_of(texts, lists.lengths), ", "), "[", "]", column)


def _item_text(column: pa.Array, to_text: _ToText) -> pa.Array:
    text = _same(None, len(column)) if pa.types.is_null(column.type) else _text(column, to_text)
    return pc.fill_null(text, "NULL")


def _wrapped(inside: pa.Array, start: str, end: str, like: pa.Array) -> pa.Array:
    text = pc.binary_join_element_wise(start, inside, end, "")
    if like.null_count:
        text = pc.if_else(pc.is_valid(like), text, pa.scalar(None, pa.utf8()))
    return text


def _same(text: str | None, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.utf8()), rows)
