"""The contracts of sources and sinks (`pyflink.datastream.connectors.base`)."""

from __future__ import annotations

from shmflink.connectors.base import Sink, Source

__all__ = ["Sink", "Source"]
