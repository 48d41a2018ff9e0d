"""A sink that throws everything away, for measuring and for jobs that end in side effects."""

from __future__ import annotations

from collections.abc import Mapping

from shmflink.connectors.base import DeliveryGuarantee, Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext

__all__ = ["DiscardSink"]


class DiscardSink(Sink):
    """*shmflink only* in Python (Flink's DiscardingSink is Java's). Takes any batch and keeps none."""

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _DiscardWriter()

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        """Nothing is visible, so nothing twice."""
        return DeliveryGuarantee.EXACTLY_ONCE


class _DiscardWriter(SinkWriter):
    def write(self, batch: Batch) -> None:
        pass
