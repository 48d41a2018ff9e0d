"""Rows (`pyflink.common.types`)."""

from shmflink.core.row import Row, RowKind

__all__ = ["Row", "RowKind"]
