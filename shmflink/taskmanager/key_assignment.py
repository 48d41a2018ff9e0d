"""Keys to channels: the key's key group, and the subtask that owns it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from shmflink.core.keys import canonical_bytes, key_values

__all__ = ["assign_channels", "assign_key_groups"]


def assign_key_groups(keys: pa.Array, max_parallelism: int) -> np.ndarray[Any, Any]:
    """The key group of each key of a key column: a fixed hash of the key's canonical bytes."""
    values = key_values(keys)
    distinct = {data: _hash(data) % max_parallelism for data in set(map(canonical_bytes, values))}
    return np.fromiter((distinct[canonical_bytes(v)] for v in values), np.int64, len(values))


def assign_channels(keys: pa.Array, max_parallelism: int, channels: int) -> np.ndarray[Any, Any]:
    """The index of the channel to the owner of each key (Flink: KeyGroupRangeAssignment)."""
    return assign_key_groups(keys, max_parallelism) * channels // max_parallelism


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
