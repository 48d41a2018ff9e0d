"""The Table API: its types are here, everything else excludes the test that uses it."""

from __future__ import annotations

from typing import Any

from shmflink.table import DataTypes, RowType
from tests.pyflink_suite.shims import Excluded

__all__ = ["DataTypes", "RowType"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Absent(name)


class _Absent:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise Excluded(f"Table API: {self._name}")

    def __getattr__(self, name: str) -> Any:
        raise Excluded(f"Table API: {self._name}.{name}")
