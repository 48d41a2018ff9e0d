"""What AsyncDataStream accepts and refuses, and PyFlink's retry strategies."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, Time, Types
from shmflink.datastream import (
    AsyncBatchFunction,
    AsyncDataStream,
    AsyncFunction,
    AsyncRetryStrategy,
    MapFunction,
    StreamExecutionEnvironment,
)
from shmflink.datastream.async_retry_predicates import (
    empty_result_predicate,
    exception_type_predicate,
    has_exception_predicate,
)
from shmflink.datastream.async_retry_strategies import (
    ExponentialBackoffDelayRetryStrategy,
    FixedDelayRetryStrategy,
    NoRetryStrategy,
)
from shmflink.errors import UsageError
from shmflink.testing import MiniCluster


class Doubles(AsyncFunction):
    async def async_invoke(self, value: int) -> Any:
        return [value * 2]


class Plain(AsyncFunction):
    def async_invoke(self, value: int) -> Any:  # type: ignore[override]
        return [value]


class Generates(AsyncFunction):
    async def async_invoke(self, value: int) -> Any:
        yield value


class PerBatch(AsyncBatchFunction):
    async def async_invoke(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"n": pa.compute.multiply(batch["n"], 2)})


def numbers() -> Any:
    return StreamExecutionEnvironment.get_execution_environment().from_collection([1, 2, 3], Types.LONG())


def test_every_method_gives_the_results_of_the_calls() -> None:
    retry = AsyncRetryStrategy.fixed_delay(1, 10, empty_result_predicate, has_exception_predicate)
    streams = [
        AsyncDataStream.unordered_wait(numbers(), Doubles(), Time.seconds(30), 2, Types.LONG()),
        AsyncDataStream.ordered_wait(numbers(), Doubles(), Duration.of_seconds(30), 2, Types.LONG()),
        AsyncDataStream.unordered_wait_with_retry(numbers(), Doubles(), Time.seconds(30), retry, 2, Types.LONG()),
        AsyncDataStream.ordered_wait_with_retry(numbers(), Doubles(), Time.seconds(30), retry, 2, Types.LONG()),
    ]
    with MiniCluster(slots=2):
        assert [sorted(stream.execute_and_collect()) for stream in streams] == [[2, 4, 6]] * 4


def test_a_function_of_batches_gives_columns() -> None:
    with MiniCluster(slots=1):
        env = StreamExecutionEnvironment.get_execution_environment()
        stream = env.from_arrow(pa.table({"n": [1, 2, 3]}))
        schema = pa.schema([("n", pa.int64())])
        doubled = AsyncDataStream.ordered_wait(stream, PerBatch(), Time.seconds(30), 2, schema)
        assert doubled.to_arrow().to_pydict() == {"n": [2, 4, 6]}


@pytest.mark.parametrize("function", [Plain(), Generates()])
def test_async_invoke_is_a_coroutine(function: AsyncFunction) -> None:
    with pytest.raises(UsageError, match=r"Method 'async_invoke' of class '.*' should be declared as 'async def'\."):
        AsyncDataStream.unordered_wait(numbers(), function, Time.seconds(1))


@pytest.mark.parametrize(
    ("function", "timeout", "capacity", "message"),
    [
        (Doubles(), Time.seconds(1), 0, "capacity is the number of calls in flight, at least 1, got 0"),
        (Doubles(), Time.seconds(1), True, "capacity is the number of calls"),
        (Doubles(), Time.seconds(1), 1.5, "capacity is the number of calls"),
        (Doubles(), Time.milliseconds(-1), 1, "timeout must not be negative, got -1 ms; 0 means no limit"),
        (Doubles(), 5, 1, "timeout is an amount with its unit"),
        (Doubles, Time.seconds(1), 1, r"got the class Doubles: pass an object of it, Doubles\(\)"),
        (lambda value: value, Time.seconds(1), 1, "the function must be an AsyncFunction"),
        (MapFunction, Time.seconds(1), 1, "the function must be an AsyncFunction"),
    ],
)
def test_unfit_arguments_are_refused_where_they_are_given(
    function: Any, timeout: Any, capacity: Any, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        AsyncDataStream.unordered_wait(numbers(), function, timeout, capacity)


def test_a_retry_needs_a_timeout() -> None:
    retry = AsyncRetryStrategy.fixed_delay(1, 10, None, has_exception_predicate)
    with pytest.raises(ValueError, match="Timeout should be configured when do async with retry"):
        AsyncDataStream.ordered_wait_with_retry(numbers(), Doubles(), Time.seconds(0), retry)


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(TypeError, match="async_retry_strategy is an AsyncRetryStrategy, got 3"):
        AsyncDataStream.ordered_wait_with_retry(numbers(), Doubles(), Time.seconds(1), 3)  # type: ignore[arg-type]


class TestStrategies:
    def test_fixed_delay_counts_retries(self) -> None:
        strategy = FixedDelayRetryStrategy(3, 100, None, has_exception_predicate)
        assert [strategy.can_retry(attempts) for attempts in range(1, 6)] == [True, True, True, False, False]
        assert strategy.get_backoff_time_millis(2) == 100

    def test_exponential_delays_grow_up_to_a_limit(self) -> None:
        strategy = ExponentialBackoffDelayRetryStrategy(5, 100, 500, 2.0, None, has_exception_predicate)
        assert [strategy.get_backoff_time_millis(attempts) for attempts in range(1, 6)] == [100, 200, 400, 500, 500]
        assert strategy.get_backoff_time_millis(100_000) == 500

    def test_no_retry(self) -> None:
        assert not AsyncRetryStrategy.no_restart().can_retry(1)
        assert NoRetryStrategy().get_retry_predicate().exception_predicate() is None

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: FixedDelayRetryStrategy(0, 1), r"max_attempts should be greater than zero\."),
            (lambda: FixedDelayRetryStrategy(1, 0), r"backoff_time_millis should be greater than zero\."),
            (lambda: ExponentialBackoffDelayRetryStrategy(1, 100, 50, 2.0), "less than initial_delay"),
            (lambda: ExponentialBackoffDelayRetryStrategy(1, 100, 500, 1.0), "multiplier should be greater than 1"),
        ],
    )
    def test_unfit_numbers_are_refused(self, make: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make()

    def test_a_predicate_of_two_arguments_needs_one_of_them_bound(self) -> None:
        with pytest.raises(TypeError, match=r"called with one argument.*partial\(exception_type_predicate"):
            FixedDelayRetryStrategy(1, 1, None, exception_type_predicate)  # type: ignore[arg-type]
        bound = partial(exception_type_predicate, expected_error_type=ValueError)
        predicate = FixedDelayRetryStrategy(1, 1, None, bound).get_retry_predicate().exception_predicate()
        assert predicate is not None
        assert predicate(ValueError())
        assert not predicate(KeyError())
