from __future__ import annotations

from typing import Any

import pytest

from shmflink.connectors.base import DeliveryGuarantee
from shmflink.connectors.collect import CollectSink
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.postgres.sink import PostgresSink
from shmflink.connectors.print_sink import PrintSink

EXACTLY, AT_LEAST = DeliveryGuarantee.EXACTLY_ONCE, DeliveryGuarantee.AT_LEAST_ONCE
URL = "dbname=x"
AT_LEAST_ONCE: dict[str, Any] = {"delivery_guarantee": AT_LEAST}


@pytest.mark.parametrize(
    ("sink", "with_checkpoints", "without"),
    [
        (PrintSink(), AT_LEAST, AT_LEAST),
        (DiscardSink(), EXACTLY, EXACTLY),
        (CollectSink("@x"), EXACTLY, AT_LEAST),
        (FileSink.csv("/nowhere"), EXACTLY, EXACTLY),
        (FileSink.csv("/nowhere", publish="when_rolled"), EXACTLY, AT_LEAST),
        (PostgresSink.for_table(URL, "t"), EXACTLY, EXACTLY),
        (PostgresSink.for_table(URL, "t", **AT_LEAST_ONCE), AT_LEAST, AT_LEAST),
        (PostgresSink.for_table(URL, "t", key_columns=["k"], **AT_LEAST_ONCE), EXACTLY, EXACTLY),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, DeliveryGuarantee) else value.name,
)
def test_every_sink_says_what_it_promises(
    sink: Any, with_checkpoints: DeliveryGuarantee, without: DeliveryGuarantee
) -> None:
    """[E10] The banner of a job shows the weakest."""
    assert sink.delivery_guarantee({"execution.checkpointing.interval": "1 s"}) is with_checkpoints
    assert sink.delivery_guarantee({}) is without
