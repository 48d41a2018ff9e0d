"""Sources and sinks (`pyflink.datastream.connectors`)."""

from __future__ import annotations

from shmflink.datastream.connectors.base import Sink, Source

__all__ = ["Sink", "Source"]
