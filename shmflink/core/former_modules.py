"""Modules that had other names in older releases: savepoints, and the pickles in them, name classes by their path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["present_module"]

_FILES: Final = "shmflink.connectors.file_system"
_FORMER: Final[Mapping[str, str]] = {
    f"{_FILES}.{former}": f"{_FILES}.{present}"
    for former, present in {
        "discovery": "reading.discovery",
        "replacing": "writing.replacing",
        "splits": "reading.splits",
        "staging": "writing.parts.staging",
    }.items()
}


def present_module(name: str) -> str:
    """The module that an older release called `name`; `name` itself where it has not moved."""
    return _FORMER.get(name, name)
