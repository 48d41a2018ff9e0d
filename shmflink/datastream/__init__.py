"""What a user imports, with PyFlink's module and class names (`pyflink.datastream`).

Imports everything below; nothing of shmflink but `testing` and the command line imports it.
"""

from __future__ import annotations

from shmflink.datastream.data_stream import CloseableIterator, DataStream, DataStreamSink, KeyedStream
from shmflink.datastream.execution_mode import RuntimeExecutionMode
from shmflink.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    Function,
    KeySelector,
    MapFunction,
    Partitioner,
    ReduceFunction,
    RuntimeContext,
)
from shmflink.datastream.output_tag import OutputTag
from shmflink.datastream.slot_sharing_group import MemorySize, SlotSharingGroup
from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = [
    "CloseableIterator",
    "DataStream",
    "DataStreamSink",
    "FilterFunction",
    "FlatMapFunction",
    "Function",
    "KeySelector",
    "KeyedStream",
    "MapFunction",
    "MemorySize",
    "OutputTag",
    "Partitioner",
    "ReduceFunction",
    "RuntimeContext",
    "RuntimeExecutionMode",
    "SlotSharingGroup",
    "StreamExecutionEnvironment",
]
