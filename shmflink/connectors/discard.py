"""A sink that discards everything, for measurements and for jobs whose functions have side effects."""

from __future__ import annotations

from collections.abc import Mapping

from shmflink.connectors.base import DeliveryGuarantee, Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext

__all__ = ["DiscardSink"]


class DiscardSink(Sink):
    """*shmflink only* in Python (Flink's DiscardingSink is written in Java). Accepts any batch and keeps none."""

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _DiscardWriter()

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        """Exactly-once: nothing becomes visible, so nothing becomes visible twice."""
        return DeliveryGuarantee.EXACTLY_ONCE


class _DiscardWriter(SinkWriter):
    def write(self, batch: Batch) -> None:
        pass
