"""One source after the other (`pyflink.datastream.connectors.hybrid_source`)."""

from __future__ import annotations

from shmflink.connectors.hybrid_source import HybridSource, HybridSourceBuilder

__all__ = ["HybridSource", "HybridSourceBuilder"]
