"""Calls a coroutine for each element (`pyflink.datastream.async_data_stream`)."""

from __future__ import annotations

import inspect
from typing import Any

import pyarrow as pa

from shmflink.core.time_units import Duration, Time, milliseconds_of
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation
from shmflink.datastream.argument_checks import check_function, checked_type
from shmflink.datastream.async_functions import AsyncBatchFunction, AsyncFunction
from shmflink.datastream.async_retry_strategies import AsyncRetryStrategy, NoRetryStrategy
from shmflink.datastream.data_stream import DataStream
from shmflink.errors import UsageError
from shmflink.plan.calls import AsyncWait

__all__ = ["AsyncDataStream"]

_NO_RETRY = NoRetryStrategy()


class AsyncDataStream:
    """Slow lookups, model calls and requests, many of them in flight at once.

    Each subtask has at most `capacity` calls in flight; then its input waits. `timeout` limits all attempts for one
    element together; 0 means no limit. Event time, watermarks and checkpoints work as in every operator; no result
    overtakes a watermark.
    """

    @staticmethod
    def unordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction | AsyncBatchFunction,
        timeout: Time | Duration,
        capacity: int = 100,
        output_type: TypeInformation | pa.Schema | None = None,
    ) -> DataStream:
        """Emits each result as soon as it is available."""
        return _wait("unordered_wait", data_stream, async_function, timeout, _NO_RETRY, capacity, output_type)

    @staticmethod
    def unordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction | AsyncBatchFunction,
        timeout: Time | Duration,
        async_retry_strategy: AsyncRetryStrategy,
        capacity: int = 100,
        output_type: TypeInformation | pa.Schema | None = None,
    ) -> DataStream:
        """Emits each result as soon as it is available; retries calls as the strategy says."""
        name = "unordered_wait_with_retry"
        return _wait(name, data_stream, async_function, timeout, async_retry_strategy, capacity, output_type)

    @staticmethod
    def ordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction | AsyncBatchFunction,
        timeout: Time | Duration,
        capacity: int = 100,
        output_type: TypeInformation | pa.Schema | None = None,
    ) -> DataStream:
        """Emits results in the order of the elements."""
        return _wait("ordered_wait", data_stream, async_function, timeout, _NO_RETRY, capacity, output_type)

    @staticmethod
    def ordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction | AsyncBatchFunction,
        timeout: Time | Duration,
        async_retry_strategy: AsyncRetryStrategy,
        capacity: int = 100,
        output_type: TypeInformation | pa.Schema | None = None,
    ) -> DataStream:
        """Emits results in the order of the elements; retries calls as the strategy says."""
        name = "ordered_wait_with_retry"
        return _wait(name, data_stream, async_function, timeout, async_retry_strategy, capacity, output_type)


def _wait(
    method: str,
    data_stream: DataStream,
    function: AsyncFunction | AsyncBatchFunction,
    timeout: Time | Duration,
    strategy: AsyncRetryStrategy,
    capacity: int,
    output_type: TypeInformation | pa.Schema | None,
) -> DataStream:
    where = f"AsyncDataStream.{method}()"
    if not isinstance(data_stream, DataStream):
        raise TypeError(f"{where} takes a DataStream, got {data_stream!r}")
    _check_function(function, where)
    timeout_ms = milliseconds_of(timeout, f"{where}: timeout")
    if timeout_ms < 0:
        raise ValueError(f"{where}: timeout must not be negative, got {timeout_ms} ms; 0 means no limit")
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise ValueError(f"{where}: capacity is the number of calls in flight, at least 1, got {capacity!r}")
    if not isinstance(strategy, AsyncRetryStrategy):
        raise TypeError(f"{where}: async_retry_strategy is an AsyncRetryStrategy, got {strategy!r}")
    if timeout_ms == 0 and not isinstance(strategy, NoRetryStrategy):
        raise ValueError("Timeout should be configured when do async with retry.")
    call = AsyncWait(
        function,
        ColumnsTypeInfo(output_type) if isinstance(output_type, pa.Schema) else checked_type(output_type),
        is_ordered=method.startswith("ordered"),
        timeout_ms=timeout_ms,
        capacity=capacity,
        is_of_batches=isinstance(function, AsyncBatchFunction),
        retry=None if isinstance(strategy, NoRetryStrategy) else strategy,
    )
    return data_stream.record(call)


def _check_function(function: Any, where: str) -> None:
    if not isinstance(function, (AsyncFunction, AsyncBatchFunction)):
        check_function(function, AsyncFunction, f"{where}: the function must be an AsyncFunction")
        raise TypeError(f"{where}: the function must be an AsyncFunction, got {function!r}")
    if not inspect.iscoroutinefunction(function.async_invoke):
        raise UsageError(f"Method 'async_invoke' of class '{type(function)}' should be declared as 'async def'.")
