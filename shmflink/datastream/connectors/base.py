"""The contracts of sources and sinks (`pyflink.datastream.connectors.base`)."""

from __future__ import annotations

from shmflink.connectors.base import DeliveryGuarantee, Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]
