"""The contracts of sources and sinks (`pyflink.datastream.connectors.base`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.connectors.base import DeliveryGuarantee, Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)
