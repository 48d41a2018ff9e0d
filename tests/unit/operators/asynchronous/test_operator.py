"""Stories of AsyncWaitOperator and AsyncBatchWaitOperator: the test determines when calls end."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from concurrent.futures import Future
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.elements import Barrier, Watermark
from shmflink.core.types.typeinfo import Types
from shmflink.datastream.async_functions import AsyncBatchFunction, AsyncFunction
from shmflink.datastream.async_retry_strategies import FixedDelayRetryStrategy
from shmflink.errors import TypeMismatchError, UserFunctionError
from shmflink.operators.asynchronous.operator import AsyncBatchWaitOperator, AsyncWaitOperator
from shmflink.state.snapshots import restored_from
from shmflink.testing import OperatorHarness


class Lookups(AsyncFunction):
    """Each call ends when the test gives its answer."""

    def __init__(self) -> None:
        self.answers: dict[Any, Future[Any]] = defaultdict(Future)
        self.begun: list[Any] = []
        self.cancelled: list[Any] = []
        self.closed_in = ""

    async def async_invoke(self, value: Any) -> Any:
        self.begun.append(value)
        try:
            return await asyncio.wrap_future(self.answers[value])
        except asyncio.CancelledError:
            self.cancelled.append(value)
            raise

    def answer(self, *values: Any) -> None:
        for value in values:
            self.answers[value].set_result([value * 10])

    def close(self) -> None:
        self.closed_in = threading.current_thread().name


class Echo(AsyncFunction):
    async def async_invoke(self, value: Any) -> Any:
        return [value]


def harness_of(
    function: AsyncFunction, *, is_ordered: bool = True, capacity: int = 4, timeout_ms: int = 0, **more: Any
) -> OperatorHarness:
    retry, output_type = more.pop("retry", None), more.pop("output_type", None)
    operator = AsyncWaitOperator(
        function, output_type, is_ordered=is_ordered, timeout_ms=timeout_ms, capacity=capacity, retry=retry
    )
    return OperatorHarness(operator, **more)


def run_to_the_end(harness: OperatorHarness, *rows: Any) -> None:
    harness.process_rows(rows)
    harness.finish()


def test_results_keep_the_order_and_the_timestamps_of_their_inputs() -> None:
    lookups = Lookups()
    with harness_of(lookups) as harness:
        harness.process_rows([1, 2, 3], timestamps=[100, 200, 300])
        lookups.answer(3, 2)
        lookups.answer(1)
        assert harness.wait_for_rows(3) == [10, 20, 30]
        assert harness.timestamps() == [100, 200, 300]


def test_unordered_results_leave_when_they_are_there() -> None:
    lookups = Lookups()
    with harness_of(lookups, is_ordered=False) as harness:
        harness.process_rows([1, 2, 3])
        lookups.answer(2)
        assert harness.wait_for_rows(1) == [20]
        lookups.answer(3)
        assert harness.wait_for_rows(2) == [20, 30]
        lookups.answer(1)
        assert harness.wait_for_rows(3) == [20, 30, 10]


def test_a_watermark_waits_for_the_calls_before_it() -> None:
    lookups = Lookups()
    with harness_of(lookups, is_ordered=False) as harness:
        harness.process_rows([1])
        harness.process_watermark(50)
        harness.process_rows([2])
        lookups.answer(2)
        assert harness.watermarks() == []
        lookups.answer(1)
        assert harness.wait_for_rows(2) == [10, 20]
        assert [element for element in harness.elements if isinstance(element, Watermark)] == [Watermark(50)]
        assert isinstance(harness.elements[1], Watermark)


def test_a_barrier_passes_calls_in_flight_and_their_inputs_are_called_again_after_a_restore() -> None:
    before = Lookups()
    with harness_of(before) as harness:
        harness.process_rows([1, 2, 3], timestamps=[100, 200, 300])
        before.answer(1)
        assert harness.wait_for_rows(1) == [10]
        harness.process_control(Barrier(1, 0))
        snapshot = harness.snapshot()
        assert isinstance(harness.elements[-1], Barrier)
    after = Lookups()
    restored = restored_from([snapshot], range(128), 0, 1)
    with harness_of(after, restored=restored) as harness:
        after.answer(2, 3)
        assert harness.wait_for_rows(2) == [20, 30]
        assert harness.timestamps() == [200, 300]
        assert after.begun == [2, 3]


def test_a_result_that_has_not_left_is_part_of_the_checkpoint() -> None:
    lookups = Lookups()
    with harness_of(lookups) as harness:
        harness.process_rows([1, 2])
        lookups.answer(2)  # behind 1, which is open
        snapshot = harness.snapshot()
    with harness_of(Echo(), restored=restored_from([snapshot], range(128), 0, 1)) as harness:
        assert harness.wait_for_rows(2) == [1, 2]


def test_no_more_calls_than_the_capacity_are_in_flight() -> None:
    lookups = Lookups()
    with harness_of(lookups, capacity=2) as harness:
        harness.process_rows([1, 2, 3])
        assert not harness.operator.is_available
        lookups.answer(1)
        harness.wait_for_rows(1)
        assert 3 not in lookups.begun[:2]
        lookups.answer(2, 3)
        assert harness.wait_for_rows(3) == [10, 20, 30]
        assert harness.operator.is_available


def test_a_finished_call_behind_a_slow_one_occupies_capacity() -> None:
    lookups = Lookups()
    with harness_of(lookups, capacity=2) as harness:
        harness.process_rows([1, 2, 3])
        lookups.answer(2)
        lookups.answers[3].set_result([30])
        lookups.answer(1)
        assert harness.wait_for_rows(3) == [10, 20, 30]
        assert lookups.begun == [1, 2, 3]


def test_the_end_of_the_input_waits_for_all_calls() -> None:
    lookups = Lookups()
    with harness_of(lookups) as harness:
        harness.process_rows([1, 2])
        timer = threading.Timer(0.05, lookups.answer, (2, 1))
        timer.start()
        harness.finish()
        timer.join()
        assert harness.rows() == [10, 20]


def test_a_call_may_have_no_result_or_many() -> None:
    class Upto(AsyncFunction):
        async def async_invoke(self, value: int) -> Any:
            return (n for n in range(value))

    with harness_of(Upto()) as harness:
        run_to_the_end(harness, 0, 2, 3)
        assert harness.rows() == [0, 1, 0, 1, 2]


def test_a_failure_names_operator_and_record() -> None:
    class Fails(AsyncFunction):
        async def async_invoke(self, value: int) -> Any:
            raise ValueError("boom")

    with harness_of(Fails(), name="Enrich") as harness, pytest.raises(UserFunctionError) as caught:
        run_to_the_end(harness, 7)
    assert "operator 'Enrich' (1/1)" in str(caught.value)
    assert "async_invoke() with ValueError: boom\nrecord: 7" in str(caught.value)


@pytest.mark.parametrize("way_out", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_whatever_ends_a_call_ends_the_job(way_out: BaseException) -> None:
    class Leaves(AsyncFunction):
        async def async_invoke(self, value: int) -> Any:
            raise way_out

    with harness_of(Leaves()) as harness, pytest.raises(UserFunctionError, match=type(way_out).__name__):
        run_to_the_end(harness, 7)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "The result of AsyncFunction cannot be none, please check the methods 'async_invoke' and 'timeout'"),
        (5, "The result of AsyncFunction should be of list type"),
        ("ab", "should be of list type.*It was of type str"),
        ({"a": 1}, "should be of list type.*It was of type dict"),
    ],
)
def test_what_is_no_list_is_refused(returned: Any, message: str) -> None:
    class Returns(AsyncFunction):
        async def async_invoke(self, value: int) -> Any:
            return returned

    with harness_of(Returns()) as harness, pytest.raises(UserFunctionError, match=message):
        run_to_the_end(harness, 1)


def test_a_result_of_another_type_than_the_declared_one_is_refused() -> None:
    class Halves(AsyncFunction):
        async def async_invoke(self, value: int) -> Any:
            return [value / 2]

    with (
        harness_of(Halves(), output_type=Types.LONG(), name="Halves") as harness,
        pytest.raises(TypeMismatchError, match="Halves"),
    ):
        run_to_the_end(harness, 3)


class TestTimeouts:
    def test_a_call_that_takes_too_long_fails_the_job_and_is_cancelled(self) -> None:
        lookups = Lookups()
        with harness_of(lookups, timeout_ms=20) as harness, pytest.raises(UserFunctionError) as caught:
            run_to_the_end(harness, 2)
        assert "Async function call has timed out for input: 2" in str(caught.value)
        assert lookups.cancelled == [2]

    def test_timeout_gives_the_result_in_its_place(self) -> None:
        class Defaults(Lookups):
            def timeout(self, value: Any) -> Any:
                return [] if value == 3 else [f"no {value}"]

        lookups = Defaults()
        with harness_of(lookups, timeout_ms=20) as harness:
            harness.process_rows([1, 2, 3])
            lookups.answer(1)
            harness.finish()
            assert harness.rows() == [10, "no 2"]

    def test_the_users_own_timeout_error_is_a_failure(self) -> None:
        class Raises(AsyncFunction):
            async def async_invoke(self, value: int) -> Any:
                raise TimeoutError("mine")

            def timeout(self, value: Any) -> Any:
                return ["never"]

        with harness_of(Raises(), timeout_ms=10_000) as harness, pytest.raises(UserFunctionError, match="mine"):
            run_to_the_end(harness, 1)


class Flaky(AsyncFunction):
    """Fails so many times for each value, or gives nothing."""

    def __init__(self, failures: int, result: Any = None) -> None:
        self.failures = failures
        self.result = result
        self.calls: dict[Any, int] = defaultdict(int)

    async def async_invoke(self, value: Any) -> Any:
        self.calls[value] += 1
        if self.calls[value] <= self.failures:
            if self.result is not None:
                return self.result
            raise ConnectionError(f"try {self.calls[value]}")
        return [value]


class TestRetries:
    def test_three_retries_are_four_calls(self) -> None:
        flaky = Flaky(3)
        strategy = FixedDelayRetryStrategy(3, 1, None, lambda error: True)
        with harness_of(flaky, timeout_ms=10_000, retry=strategy) as harness:
            run_to_the_end(harness, 1, 2)
            assert harness.rows() == [1, 2]
        assert flaky.calls == {1: 4, 2: 4}

    def test_after_the_last_retry_the_exception_fails_the_job(self) -> None:
        flaky = Flaky(3)
        strategy = FixedDelayRetryStrategy(2, 1, None, lambda error: True)
        with (
            harness_of(flaky, timeout_ms=10_000, retry=strategy) as harness,
            pytest.raises(UserFunctionError, match="try 3"),
        ):
            run_to_the_end(harness, 1)

    def test_after_the_last_retry_a_result_is_emitted_as_it_is(self) -> None:
        flaky = Flaky(5, result=[None])
        strategy = FixedDelayRetryStrategy(2, 1, lambda result: result == [None], None)
        with harness_of(flaky, timeout_ms=10_000, retry=strategy) as harness:
            run_to_the_end(harness, 1)
            assert harness.rows() == [None]
        assert flaky.calls == {1: 3}

    def test_another_exception_is_not_tried_again(self) -> None:
        flaky = Flaky(1)
        strategy = FixedDelayRetryStrategy(2, 1, None, lambda error: isinstance(error, ValueError))
        with (
            harness_of(flaky, timeout_ms=10_000, retry=strategy) as harness,
            pytest.raises(UserFunctionError, match="try 1"),
        ):
            run_to_the_end(harness, 1)

    def test_a_predicate_that_raises_is_a_failure(self) -> None:
        def wrong(_: Any) -> bool:
            raise KeyError("in the predicate")

        strategy = FixedDelayRetryStrategy(2, 1, wrong, None)
        with (
            harness_of(Echo(), timeout_ms=10_000, retry=strategy) as harness,
            pytest.raises(UserFunctionError, match="in the predicate"),
        ):
            run_to_the_end(harness, 1)

    def test_the_timeout_counts_all_attempts(self) -> None:
        class Patient(Flaky):
            def timeout(self, value: Any) -> Any:
                return ["gave up"]

        strategy = FixedDelayRetryStrategy(1000, 60_000, None, lambda error: True)
        with harness_of(Patient(1000), timeout_ms=30, retry=strategy) as harness:
            run_to_the_end(harness, 1)
            assert harness.rows() == ["gave up"]


class TestFunctions:
    def test_open_and_close_run_on_the_loop_of_the_calls(self) -> None:
        class Client(Lookups):
            def open(self, runtime_context: Any) -> None:
                self.loop = asyncio.get_running_loop()

            async def async_invoke(self, value: Any) -> Any:
                return [asyncio.get_running_loop() is self.loop]

        client = Client()
        with harness_of(client) as harness:
            run_to_the_end(harness, 1)
            assert harness.rows() == [True]
        assert client.closed_in == "async Operator"

    def test_open_that_fails_is_named(self) -> None:
        class Fails(Echo):
            def open(self, runtime_context: Any) -> None:
                raise OSError("no server")

        with pytest.raises(UserFunctionError, match=r"failed in open\(\) with OSError: no server"):
            harness_of(Fails()).__enter__()

    def test_close_cancels_calls_and_ends_the_thread(self) -> None:
        lookups = Lookups()
        with harness_of(lookups) as harness:
            harness.process_rows([1])
            while not lookups.begun:
                pass
        assert lookups.cancelled == [1]
        assert not [thread for thread in threading.enumerate() if thread.name == "async Operator"]


class Doubles(AsyncBatchFunction):
    async def async_invoke(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"x": pa.compute.multiply(batch["x"], 2)})


def batch_harness(function: AsyncBatchFunction, **more: Any) -> OperatorHarness:
    operator = AsyncBatchWaitOperator(function, None, is_ordered=True, timeout_ms=0, capacity=2)
    return OperatorHarness(operator, **more)


def run_batch_to_the_end(harness: OperatorHarness, batch: pa.RecordBatch) -> None:
    harness.process_batch(batch)
    harness.finish()


class TestBatches:
    def test_a_call_for_each_batch(self) -> None:
        with batch_harness(Doubles()) as harness:
            harness.process_batch(pa.record_batch({"x": [1, 2]}))
            harness.process_batch(pa.record_batch({"x": [3]}))
            harness.finish()
            assert [batch.columns().to_pydict() for batch in harness.batches()] == [{"x": [2, 4]}, {"x": [6]}]

    def test_batches_in_flight_are_called_again_after_a_restore(self) -> None:
        class Never(AsyncBatchFunction):
            async def async_invoke(self, batch: pa.RecordBatch) -> Any:
                await asyncio.Event().wait()

        with batch_harness(Never()) as harness:
            harness.process_batch(harness.batch([1, 2], Types.LONG(), [100, 200]))
            snapshot = harness.snapshot()

        class Same(AsyncBatchFunction):
            async def async_invoke(self, batch: pa.RecordBatch) -> Any:
                return batch

        with batch_harness(Same(), restored=restored_from([snapshot], range(128), 0, 1)) as harness:
            harness.wait_for_rows(2)
            assert [batch.columns().to_pydict() for batch in harness.batches()] == [{"value": [1, 2]}]
            assert harness.timestamps() == [100, 200]

    def test_what_is_no_batch_is_refused(self) -> None:
        class Lists(AsyncBatchFunction):
            async def async_invoke(self, batch: pa.RecordBatch) -> Any:
                return 5

        with batch_harness(Lists()) as harness, pytest.raises(TypeMismatchError, match=r"async_invoke\(\) must return"):
            run_batch_to_the_end(harness, pa.record_batch({"x": [1, 2]}))
