"""Keys to hashes, hashes to key groups, key groups to subtasks. The functions are fixed, because state depends on them.

The native core defines the 64-bit hash (`exchange/hash.rs`); a test freezes it. It depends only on the key's value and
Python type, never on the process, the host or the column's type. Key groups and owners are Flink's
(KeyGroupRangeAssignment).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink import _core

__all__ = ["MAX_PARALLELISM_MAX", "key_groups", "key_hash", "owners", "range_of"]

MAX_PARALLELISM_MAX: Final = 1 << 15
_CANONICAL: Final = pa.large_binary()


def key_hash(columns: Sequence[pa.Array]) -> pa.UInt64Array:
    """The hash of each row over one or more key columns in the form of `core.keys.columns.encode_keys`.

    Other Arrow columns are hashed by their values, too; large_binary always means canonical bytes.

    Raises:
        TypeMismatchError: a column's type cannot be a key.
    """
    return _core.key_hash(columns, _canonical(columns))


def key_groups(keys: pa.Array | Sequence[pa.Array], max_parallelism: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The key group of each key of one or more key columns, 0 to `max_parallelism` - 1."""
    columns = [keys] if isinstance(keys, pa.Array) else list(keys)
    groups = _core.key_groups(columns, max_parallelism, _canonical(columns))
    return groups.to_numpy()  # type: ignore[no-any-return]  # pyarrow is untyped


def owners(
    keys: pa.Array | Sequence[pa.Array], max_parallelism: int, parallelism: int
) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The subtask that owns each key."""
    return key_groups(keys, max_parallelism) * np.int32(parallelism) // np.int32(max_parallelism)


def range_of(subtask: int, max_parallelism: int, parallelism: int) -> range:
    """The key groups that a subtask owns."""
    assert 0 <= subtask < parallelism <= max_parallelism, (subtask, parallelism, max_parallelism)
    first = (subtask * max_parallelism + parallelism - 1) // parallelism
    end = ((subtask + 1) * max_parallelism + parallelism - 1) // parallelism
    return range(first, end)


def _canonical(columns: Sequence[pa.Array]) -> list[bool]:
    return [column.type == _CANONICAL for column in columns]
