"""PyFlink's `pyflink.table`, as far as the DataStream API refers to it: the types of columns (`DataTypes`).

The Table API itself is not in this version: importing its names says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.table.types import DataType, DataTypes, RowType

__all__ = ["DataType", "DataTypes", "RowType"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)
