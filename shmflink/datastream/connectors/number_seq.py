"""`NumberSequenceSource` under PyFlink's module name."""

from __future__ import annotations

from shmflink.connectors.number_sequence import NumberSequenceSource

__all__ = ["NumberSequenceSource"]
