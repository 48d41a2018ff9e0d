"""Equality of arrays, maps and rows: nulls inside equal each other, a map's entries have no order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.nested.lists import Lists, codes_of, list_of
from shmflink.expressions.nested.maps import entries_of
from shmflink.expressions.vectors import columnwise, with_validity

__all__ = ["same_nested"]


@columnwise
def same_nested(left: pa.Array, right: pa.Array) -> pa.Array:
    """For each row whether both are equal; null if one is null. Both must have the same type."""
    codes, others = codes_of(_sorted(left), _sorted(right))
    return with_validity(pa.array(codes == others), left, right)


def _sorted(column: pa.Array) -> pa.Array:
    """Maps as arrays of their sorted entries; other types unchanged."""
    if not pa.types.is_map(column.type):
        return column
    entries = Lists.of(entries_of(column))
    keys = entries.values.field(0)
    ranks = codes_of(keys)[0] if pa.types.is_nested(keys.type) else np.asarray(pc.rank(keys))
    order = np.lexsort((ranks, entries.parents))
    return list_of(entries.values.take(pa.array(order)), entries.lengths, column)
