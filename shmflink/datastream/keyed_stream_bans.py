"""PyFlink's error messages for operator setters on a KeyedStream, which is not an operator."""

from __future__ import annotations

from typing import Final

__all__ = ["KEYED_STREAM_BANS", "NO_PARTITIONING"]

NO_PARTITIONING: Final = "Cannot override partitioning for KeyedStream."
KEYED_STREAM_BANS: Final = {
    "set_parallelism": "Set parallelism for KeyedStream is not supported.",
    "name": "Set name for KeyedStream is not supported.",
    "get_name": "Get name of KeyedStream is not supported.",
    "uid": "Set uid for KeyedStream is not supported.",
    "set_uid_hash": "Set uid hash for KeyedStream is not supported.",
    "set_max_parallelism": "Set max parallelism for KeyedStream is not supported.",
    "force_non_parallel": "Set force non-parallel for KeyedStream is not supported.",
    "set_buffer_timeout": "Set buffer timeout for KeyedStream is not supported.",
    "start_new_chain": "Start new chain for KeyedStream is not supported.",
    "disable_chaining": "Disable chaining for KeyedStream is not supported.",
    "slot_sharing_group": "Setting slot sharing group for KeyedStream is not supported.",
    "set_description": "Set description for KeyedStream is not supported.",
    "get_side_output": "Get side output of KeyedStream is not supported.",
}
