"""The name of a side output (`pyflink.datastream.output_tag`)."""

from __future__ import annotations

from shmflink.core.output_tag import OutputTag

__all__ = ["OutputTag"]
