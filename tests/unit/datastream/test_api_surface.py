"""Names and parameters are PyFlink's.

The table was taken from the sources of apache-flink 2.3.0: classes, methods, parameter names, defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import shmflink.datastream as api

PYFLINK = """
StreamExecutionEnvironment
    get_config()
    set_parallelism(parallelism)
    set_max_parallelism(max_parallelism)
    register_slot_sharing_group(slot_sharing_group)
    get_parallelism()
    get_max_parallelism()
    set_runtime_mode(execution_mode)
    set_buffer_timeout(timeout_millis)
    get_buffer_timeout()
    disable_operator_chaining()
    is_chaining_enabled()
    is_chaining_of_operators_with_different_max_parallelism_enabled()
    configure(configuration)
    add_python_file(file_path)
    add_jars(*jars_path)
    add_classpaths(*classpaths)
    get_default_local_parallelism()
    execute(job_name=None)
    execute_async(job_name='Flink Streaming Job')
    get_execution_plan()
    get_execution_environment(configuration=None)
    from_source(source, watermark_strategy, source_name, type_info=None)
    from_collection(collection, type_info=None)
    close()
    get_checkpoint_config()
    enable_checkpointing(interval, mode=None)
    get_checkpoint_interval()
    get_checkpointing_mode()
    get_checkpointing_consistency_mode()
    enable_changelog_state_backend(enabled)
    is_changelog_state_backend_enabled()
    set_default_savepoint_directory(directory)
    get_default_savepoint_directory()
    is_unaligned_checkpoints_enabled()
    is_force_unaligned_checkpoints()
CheckpointConfig
    is_checkpointing_enabled()
    get_checkpointing_mode()
    set_checkpointing_mode(checkpointing_mode)
    get_checkpoint_interval()
    set_checkpoint_interval(checkpoint_interval)
    get_checkpoint_timeout()
    set_checkpoint_timeout(checkpoint_timeout)
    get_min_pause_between_checkpoints()
    set_min_pause_between_checkpoints(min_pause_between_checkpoints)
    get_max_concurrent_checkpoints()
    set_max_concurrent_checkpoints(max_concurrent_checkpoints)
    is_fail_on_checkpointing_errors()
    set_fail_on_checkpointing_errors(fail_on_checkpointing_errors)
    get_tolerable_checkpoint_failure_number()
    set_tolerable_checkpoint_failure_number(tolerable_checkpoint_failure_number)
    set_externalized_checkpoint_retention(retention_mode)
    is_externalized_checkpoints_enabled()
    get_externalized_checkpoint_retention()
    is_unaligned_checkpoints_enabled()
    enable_unaligned_checkpoints(enabled=True)
    disable_unaligned_checkpoints()
    set_aligned_checkpoint_timeout(alignment_timeout)
    get_aligned_checkpoint_timeout()
    set_alignment_timeout(alignment_timeout)
    get_alignment_timeout()
    set_force_unaligned_checkpoints(force_unaligned_checkpoints=True)
    is_force_unaligned_checkpoints()
FileSystemCheckpointStorage
    get_checkpoint_path()
    get_savepoint_path()
    get_min_file_size_threshold()
    get_write_buffer_size()
JobManagerCheckpointStorage
    get_checkpoint_path()
    get_max_state_size()
    get_savepoint_path()
DataStream
    get_name()
    name(name)
    uid(uid)
    set_uid_hash(uid_hash)
    set_parallelism(parallelism)
    set_max_parallelism(max_parallelism)
    get_type()
    get_execution_environment()
    get_execution_config()
    force_non_parallel()
    set_buffer_timeout(timeout_millis)
    start_new_chain()
    disable_chaining()
    slot_sharing_group(slot_sharing_group)
    set_description(description)
    map(func, output_type=None)
    flat_map(func, output_type=None)
    key_by(key_selector, key_type=None, ...)
    filter(func)
    union(*streams)
    shuffle()
    project(*field_indexes)
    rescale()
    rebalance()
    forward()
    broadcast(broadcast_state_descriptor=None, *other_broadcast_state_descriptors)
    partition_custom(partitioner, key_selector)
    sink_to(sink)
    execute_and_collect(job_execution_name=None, limit=None)
    print(sink_identifier=None)
    get_side_output(output_tag)
KeyedStream
    map(func, output_type=None)
    flat_map(func, output_type=None)
    reduce(func)
    filter(func)
    sum(position_to_sum=0)
    min(position_to_min=0)
    max(position_to_max=0)
    min_by(position_to_min_by=0)
    max_by(position_to_max_by=0)
    key_by(key_selector, key_type=None, ...)
    union(*streams)
    shuffle()
    project(*field_indexes)
    rescale()
    rebalance()
    forward()
    broadcast(*args)
    partition_custom(partitioner, key_selector)
    print(sink_identifier=None)
    set_parallelism(parallelism)
    name(name)
    get_name()
    uid(uid)
    set_uid_hash(uid_hash)
    set_max_parallelism(max_parallelism)
    force_non_parallel()
    set_buffer_timeout(timeout_millis)
    start_new_chain()
    disable_chaining()
    slot_sharing_group(slot_sharing_group)
DataStreamSink
    name(name)
    uid(uid)
    set_uid_hash(uid_hash)
    set_parallelism(parallelism)
    set_description(description)
    disable_chaining()
    slot_sharing_group(slot_sharing_group)
CloseableIterator
    next()
    close()
RuntimeContext
    get_task_name()
    get_number_of_parallel_subtasks()
    get_max_number_of_parallel_subtasks()
    get_index_of_this_subtask()
    get_attempt_number()
    get_task_name_with_subtasks()
    get_job_parameter(key, default_value)
    get_metrics_group()
Function
    open(runtime_context)
    close()
MapFunction
    map(value)
FlatMapFunction
    flat_map(value)
FilterFunction
    filter(value)
ReduceFunction
    reduce(value1, value2)
KeySelector
    get_key(value)
Partitioner
    partition(key, num_partitions)
MemorySize
    of_mebi_bytes(mebi_bytes)
    get_bytes()
    get_kibi_bytes()
    get_mebi_bytes()
    get_gibi_bytes()
    get_tebi_bytes()
SlotSharingGroup
    get_name()
    get_managed_memory()
    get_task_heap_memory()
    get_task_off_heap_memory()
    get_cpu_cores()
    get_external_resources()
    builder(name)
SlotSharingGroup.Builder
    set_cpu_cores(cpu_cores)
    set_task_heap_memory(task_heap_memory)
    set_task_heap_memory_mb(task_heap_memory_mb)
    set_task_off_heap_memory(task_off_heap_memory)
    set_task_off_heap_memory_mb(task_off_heap_memory_mb)
    set_managed_memory(managed_memory)
    set_managed_memory_mb(managed_memory_mb)
    set_external_resource(name, value)
    build()
"""

NOT_IN_THIS_VERSION = """
StreamExecutionEnvironment: create_input
"""


def table() -> Iterator[tuple[str, str, str]]:
    owner = ""
    for line in PYFLINK.strip().splitlines():
        if not line.startswith(" "):
            owner = line
            continue
        method, _, parameters = line.strip().removesuffix(")").partition("(")
        yield owner, method, parameters


def find(path: str) -> Any:
    found: Any = api
    for name in path.split("."):
        found = getattr(found, name)
    return found


def parameters_of(function: Any) -> str:
    described = []
    for p in inspect.signature(function).parameters.values():
        name = f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
        described.append(name if p.default is p.empty else f"{name}={p.default!r}")
    return ", ".join(name for name in described if name != "self")


@pytest.mark.parametrize(("owner", "method", "parameters"), list(table()))
def test_methods_have_pyflinks_parameters(owner: str, method: str, parameters: str) -> None:
    found = parameters_of(getattr(find(owner), method))
    if parameters.endswith(", ..."):  # more may be given here than there
        found, parameters = found.rpartition(", *")[0], parameters.removesuffix(", ...")
    assert found == parameters


@pytest.mark.parametrize("line", NOT_IN_THIS_VERSION.strip().splitlines())
def test_what_is_missing_is_named(line: str) -> None:
    owner, _, names = line.partition(": ")
    assert set(names.split()) <= set(find(owner).MISSING)


def test_what_is_exported_is_pyflinks() -> None:
    # PyFlink has these in its modules, not in the package.
    only_here = {"AllWindowFunction", "AllWindowedStream", "CloseableIterator", "Function", "ProcessAllWindowFunction"}
    only_here |= {"SinkFunction", "SourceFunction", "AsyncBatchFunction"}
    assert set(api.__all__) - only_here <= {
        "AggregateFunction",
        "AsyncDataStream",
        "AsyncFunction",
        "AsyncRetryPredicate",
        "AsyncRetryStrategy",
        "CheckpointConfig",
        "CheckpointStorage",
        "CheckpointingMode",
        "EmbeddedRocksDBStateBackend",
        "ExternalizedCheckpointRetention",
        "FileSystemCheckpointStorage",
        "HashMapStateBackend",
        "JobManagerCheckpointStorage",
        "StateBackend",
        "BroadcastConnectedStream",
        "BroadcastProcessFunction",
        "BroadcastStream",
        "CoFlatMapFunction",
        "CoMapFunction",
        "CoProcessFunction",
        "CountWindow",
        "ConnectedStreams",
        "DataStream",
        "DataStreamSink",
        "FilterFunction",
        "FlatMapFunction",
        "GlobalWindow",
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
        "ProcessFunction",
        "ProcessWindowFunction",
        "ReduceFunction",
        "RuntimeContext",
        "RuntimeExecutionMode",
        "SlotSharingGroup",
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
    }
    assert [mode.value for mode in api.RuntimeExecutionMode] == [0, 1, 2]


def test_the_modules_have_pyflinks_names() -> None:
    from shmflink.datastream.data_stream import CloseableIterator, KeyedStream
    from shmflink.datastream.execution_mode import RuntimeExecutionMode
    from shmflink.datastream.functions import MapFunction
    from shmflink.datastream.slot_sharing_group import MemorySize
    from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment

    assert api.StreamExecutionEnvironment is StreamExecutionEnvironment
    assert (api.KeyedStream, api.CloseableIterator) == (KeyedStream, CloseableIterator)
    assert (api.MapFunction, api.MemorySize) == (MapFunction, MemorySize)
    assert api.RuntimeExecutionMode is RuntimeExecutionMode
