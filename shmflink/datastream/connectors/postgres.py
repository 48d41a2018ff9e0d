"""Tables of PostgreSQL (*shmflink only*; Flink has them in its JDBC connector)."""

from __future__ import annotations

from shmflink.connectors.base import DeliveryGuarantee
from shmflink.connectors.postgres.sink import PostgresSink, PostgresSinkBuilder, StagedRows, staged_rows

__all__ = ["DeliveryGuarantee", "PostgresSink", "PostgresSinkBuilder", "StagedRows", "staged_rows"]
