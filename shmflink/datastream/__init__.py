"""What a user imports, with PyFlink's module and class names (`pyflink.datastream`).

Imports everything below. Within shmflink, only `testing` and the command line import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.core.lazy_imports import lazy_names

if TYPE_CHECKING:
    from shmflink.datastream.async_data_stream import AsyncDataStream
    from shmflink.datastream.async_functions import AsyncBatchFunction, AsyncFunction
    from shmflink.datastream.async_retry_strategies import AsyncRetryPredicate, AsyncRetryStrategy
    from shmflink.datastream.checkpoint_config import CheckpointConfig
    from shmflink.datastream.checkpoint_storage import (
        CheckpointStorage,
        FileSystemCheckpointStorage,
        JobManagerCheckpointStorage,
    )
    from shmflink.datastream.checkpointing_mode import CheckpointingMode
    from shmflink.datastream.data_stream import (
        AllWindowedStream,
        BroadcastConnectedStream,
        BroadcastStream,
        CloseableIterator,
        ConnectedStreams,
        DataStream,
        DataStreamSink,
        KeyedStream,
        WindowedStream,
    )
    from shmflink.datastream.execution_mode import RuntimeExecutionMode
    from shmflink.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention
    from shmflink.datastream.functions import (
        AggregateFunction,
        AllWindowFunction,
        BroadcastProcessFunction,
        CoFlatMapFunction,
        CoMapFunction,
        CoProcessFunction,
        FilterFunction,
        FlatMapFunction,
        Function,
        KeyedBroadcastProcessFunction,
        KeyedCoProcessFunction,
        KeyedProcessFunction,
        KeySelector,
        MapFunction,
        Partitioner,
        ProcessAllWindowFunction,
        ProcessFunction,
        ProcessWindowFunction,
        ReduceFunction,
        RuntimeContext,
        SinkFunction,
        SourceFunction,
        WindowFunction,
    )
    from shmflink.datastream.output_tag import OutputTag
    from shmflink.datastream.slot_sharing_group import MemorySize, SlotSharingGroup
    from shmflink.datastream.state_backend import EmbeddedRocksDBStateBackend, HashMapStateBackend, StateBackend
    from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment
    from shmflink.datastream.time_domain import TimeDomain
    from shmflink.datastream.timerservice import TimerService
    from shmflink.datastream.window import (
        CountWindow,
        GlobalWindow,
        MergingWindowAssigner,
        TimeWindow,
        Trigger,
        TriggerResult,
        Window,
        WindowAssigner,
    )

__all__ = [
    "AggregateFunction",
    "AllWindowFunction",
    "AllWindowedStream",
    "AsyncBatchFunction",
    "AsyncDataStream",
    "AsyncFunction",
    "AsyncRetryPredicate",
    "AsyncRetryStrategy",
    "BroadcastConnectedStream",
    "BroadcastProcessFunction",
    "BroadcastStream",
    "CheckpointConfig",
    "CheckpointStorage",
    "CheckpointingMode",
    "CloseableIterator",
    "CoFlatMapFunction",
    "CoMapFunction",
    "CoProcessFunction",
    "ConnectedStreams",
    "CountWindow",
    "DataStream",
    "DataStreamSink",
    "EmbeddedRocksDBStateBackend",
    "ExternalizedCheckpointRetention",
    "FileSystemCheckpointStorage",
    "FilterFunction",
    "FlatMapFunction",
    "Function",
    "GlobalWindow",
    "HashMapStateBackend",
    "JobManagerCheckpointStorage",
    "KeySelector",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "KeyedStream",
    "MapFunction",
    "MemorySize",
    "MergingWindowAssigner",
    "OutputTag",
    "Partitioner",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "RuntimeContext",
    "RuntimeExecutionMode",
    "SinkFunction",
    "SlotSharingGroup",
    "SourceFunction",
    "StateBackend",
    "StreamExecutionEnvironment",
    "TimeDomain",
    "TimeWindow",
    "TimerService",
    "Trigger",
    "TriggerResult",
    "Window",
    "WindowAssigner",
    "WindowFunction",
    "WindowedStream",
]

_MODULES = {
    "async_data_stream": ("AsyncDataStream",),
    "async_functions": (
        "AsyncBatchFunction",
        "AsyncFunction",
    ),
    "async_retry_strategies": (
        "AsyncRetryPredicate",
        "AsyncRetryStrategy",
    ),
    "checkpoint_config": ("CheckpointConfig",),
    "checkpoint_storage": (
        "CheckpointStorage",
        "FileSystemCheckpointStorage",
        "JobManagerCheckpointStorage",
    ),
    "checkpointing_mode": ("CheckpointingMode",),
    "data_stream": (
        "AllWindowedStream",
        "BroadcastConnectedStream",
        "BroadcastStream",
        "CloseableIterator",
        "ConnectedStreams",
        "DataStream",
        "DataStreamSink",
        "KeyedStream",
        "WindowedStream",
    ),
    "execution_mode": ("RuntimeExecutionMode",),
    "externalized_checkpoint_retention": ("ExternalizedCheckpointRetention",),
    "functions": (
        "AggregateFunction",
        "AllWindowFunction",
        "BroadcastProcessFunction",
        "CoFlatMapFunction",
        "CoMapFunction",
        "CoProcessFunction",
        "FilterFunction",
        "FlatMapFunction",
        "Function",
        "KeyedBroadcastProcessFunction",
        "KeyedCoProcessFunction",
        "KeyedProcessFunction",
        "KeySelector",
        "MapFunction",
        "Partitioner",
        "ProcessAllWindowFunction",
        "ProcessFunction",
        "ProcessWindowFunction",
        "ReduceFunction",
        "RuntimeContext",
        "SinkFunction",
        "SourceFunction",
        "WindowFunction",
    ),
    "output_tag": ("OutputTag",),
    "slot_sharing_group": (
        "MemorySize",
        "SlotSharingGroup",
    ),
    "state_backend": (
        "EmbeddedRocksDBStateBackend",
        "HashMapStateBackend",
        "StateBackend",
    ),
    "stream_execution_environment": ("StreamExecutionEnvironment",),
    "time_domain": ("TimeDomain",),
    "timerservice": ("TimerService",),
    "window": (
        "CountWindow",
        "GlobalWindow",
        "MergingWindowAssigner",
        "TimeWindow",
        "Trigger",
        "TriggerResult",
        "Window",
        "WindowAssigner",
    ),
}

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _MODULES, names_absent(__name__))


def __dir__() -> list[str]:
    """The names that completion offers."""
    return __all__
