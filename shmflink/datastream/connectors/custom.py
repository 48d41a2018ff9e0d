"""The parts of a custom source or sink. *shmflink only*: PyFlink's connectors are written in Java.

A `Source` creates an enumerator, which assigns `Split`s (`SplitQueue` if all are known at the start), and in each
subtask a reader, which reads them (`SplitReader`, with a `SplitCursor` for each split). A `Sink` creates a `SinkWriter`
in each subtask and, for exactly-once, a `Committer` in each subtask; a global committer for the whole sink if all
output of a checkpoint must become visible at once. `examples/sqlite_connector.py` has a source and a sink,
`examples/manifest_sink.py` has both committers, `examples/partitioned_log.py` has a reader that reads its splits
concurrently.
"""

from __future__ import annotations

from shmflink.connectors.base import (
    Boundedness,
    Committer,
    DeliveryGuarantee,
    Poll,
    Sink,
    SinkWriter,
    Source,
    SourceReader,
    Split,
    SplitBatch,
    SplitEnd,
    SplitEnumerator,
)
from shmflink.connectors.split_queue import SplitQueue, even_ranges
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.mailbox import Mailbox
from shmflink.core.outbox import Outbox
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.operators.base import OperatorContext, SideOutput

__all__ = [
    "Batch",
    "Boundedness",
    "Changelog",
    "ColumnsTypeInfo",
    "Committer",
    "DeliveryGuarantee",
    "Mailbox",
    "OperatorContext",
    "Outbox",
    "Poll",
    "SideOutput",
    "Sink",
    "SinkWriter",
    "Source",
    "SourceReader",
    "Split",
    "SplitBatch",
    "SplitCursor",
    "SplitEnd",
    "SplitEnumerator",
    "SplitQueue",
    "SplitReader",
    "even_ranges",
]
