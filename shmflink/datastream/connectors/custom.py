"""What a source or sink of one's own is made of. *shmflink only*: PyFlink's connectors are Java's.

A source: `Source` makes an enumerator, which hands out `Split`s (`SplitQueue` where all are known at the start), and in
each subtask a reader, which reads them (`SplitReader`, with a `SplitCursor` for each split). A sink: `Sink` makes a
`SinkWriter` in each subtask and, for exactly once, a `Committer`; one more for the whole sink where all becomes visible
at once. `examples/sqlite_connector.py` has one of each, `examples/manifest_sink.py` both committers,
`examples/partitioned_log.py` a reader that reads its splits at the same time.
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
