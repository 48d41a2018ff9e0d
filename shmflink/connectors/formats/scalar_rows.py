"""Columns whose rows are single values."""

from __future__ import annotations

import pyarrow as pa

from shmflink.core.rows import SHAPE_KEY
from shmflink.core.types.shapes import VALUE_COLUMN, to_json
from shmflink.core.types.typeinfo import TypeInformation

__all__ = ["scalar_schema"]


def scalar_schema(row_type: TypeInformation) -> pa.Schema:
    """The schema of one column `value` whose rows are values of `row_type`, not `Row`s of one field."""
    return pa.schema([pa.field(VALUE_COLUMN, row_type.arrow_type)], {SHAPE_KEY: to_json(row_type.shape)})
