"""Modules that older releases had under other names: savepoints, and pickles in them, refer to classes by module
path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["FORMER_MODULES", "present_module"]

# Modules whose classes occur in state: in our own checkpoint data, and possibly in users' values.
FORMER_MODULES: Final[Mapping[str, str]] = {
    "shmflink.connectors.file_system.discovery": "shmflink.connectors.file_system.reading.discovery",
    "shmflink.connectors.file_system.replacing": "shmflink.connectors.file_system.writing.replacing",
    "shmflink.connectors.file_system.splits": "shmflink.connectors.file_system.reading.splits",
    "shmflink.connectors.file_system.staging": "shmflink.connectors.file_system.writing.parts.staging",
    "shmflink.core.codec": "shmflink.core.serialization.codec",
    "shmflink.core.data_types": "shmflink.core.types.data_types",
    "shmflink.core.typeinfo": "shmflink.core.types.typeinfo",
    "shmflink.expressions.json_options": "shmflink.expressions.sql_json.options",
    "shmflink.expressions.units": "shmflink.expressions.time.units",
}


def present_module(name: str) -> str:
    """The current name of the module that an older release called `name`; `name` itself if it has not moved."""
    return FORMER_MODULES.get(name, name)
