"""Types of columns (`pyflink.table.types`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.core.types.data_types import DataType, DataTypes, RowField, RowType

__all__ = ["DataType", "DataTypes", "RowField", "RowType"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)
