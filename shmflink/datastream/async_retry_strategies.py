"""When calls of an AsyncFunction are retried (`pyflink.datastream.async_retry_strategies`)."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import index
from typing import Any

__all__ = [
    "AsyncRetryPredicate",
    "AsyncRetryStrategy",
    "ExponentialBackoffDelayRetryStrategy",
    "FixedDelayRetryStrategy",
    "NoRetryStrategy",
    "RetryPredicate",
]

ResultPredicate = Callable[[list[Any]], bool]
ExceptionPredicate = Callable[[Exception], bool]


class AsyncRetryPredicate(ABC):
    """Which results and exceptions cause a retry."""

    @abstractmethod
    def result_predicate(self) -> ResultPredicate | None:
        """True for a result that causes a retry; None: no result does."""

    @abstractmethod
    def exception_predicate(self) -> ExceptionPredicate | None:
        """True for an exception that causes a retry; None: no exception does."""


class AsyncRetryStrategy(ABC):
    """Whether and when a call is retried. Each value gets its own copy of the strategy at its second attempt."""

    @abstractmethod
    def can_retry(self, current_attempts: int) -> bool:
        """Whether another attempt may follow after `current_attempts` attempts."""

    @abstractmethod
    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """How long to wait before the next attempt, in milliseconds."""

    @abstractmethod
    def get_retry_predicate(self) -> AsyncRetryPredicate:
        """What causes a retry."""

    @staticmethod
    def no_restart() -> AsyncRetryStrategy:
        """No retry."""
        return NoRetryStrategy()

    @staticmethod
    def fixed_delay(
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: ResultPredicate | None,
        exception_predicate: ExceptionPredicate | None,
    ) -> AsyncRetryStrategy:
        """See `FixedDelayRetryStrategy`."""
        return FixedDelayRetryStrategy(max_attempts, backoff_time_millis, result_predicate, exception_predicate)

    @staticmethod
    def exponential_backoff(
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: ResultPredicate | None,
        exception_predicate: ExceptionPredicate | None,
    ) -> AsyncRetryStrategy:
        """See `ExponentialBackoffDelayRetryStrategy`."""
        return ExponentialBackoffDelayRetryStrategy(
            max_attempts, initial_delay, max_retry_delay, multiplier, result_predicate, exception_predicate
        )


class RetryPredicate(AsyncRetryPredicate):
    """Two functions, either of which may be None."""

    def __init__(
        self, result_predicate: ResultPredicate | None, exception_predicate: ExceptionPredicate | None
    ) -> None:
        """Raises TypeError unless each is None or a function of one argument."""
        self._result_predicate = _of_one_argument(result_predicate, "result_predicate")
        self._exception_predicate = _of_one_argument(exception_predicate, "exception_predicate")

    def result_predicate(self) -> ResultPredicate | None:
        return self._result_predicate

    def exception_predicate(self) -> ExceptionPredicate | None:
        return self._exception_predicate


class NoRetryStrategy(AsyncRetryStrategy):
    """No retry."""

    def can_retry(self, current_attempts: int) -> bool:
        return False

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return -1

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return RetryPredicate(None, None)


class FixedDelayRetryStrategy(AsyncRetryStrategy):
    """The same delay before each retry. `max_attempts` counts the retries: 3 means up to 4 calls."""

    def __init__(
        self,
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: ResultPredicate | None = None,
        exception_predicate: ExceptionPredicate | None = None,
    ) -> None:
        """
        Raises:
            ValueError: `max_attempts` or the delay, in ms, is not greater than zero.
        """
        self._max_attempts = _positive(max_attempts, "max_attempts")
        self._backoff_time_millis = _positive(backoff_time_millis, "backoff_time_millis")
        self._predicate = RetryPredicate(result_predicate, exception_predicate)

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return self._backoff_time_millis

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return self._predicate


class ExponentialBackoffDelayRetryStrategy(AsyncRetryStrategy):
    """The first delay is `initial_delay`; each further one is `multiplier` times the last, at most `max_retry_delay`.

    `max_attempts` counts the retries: 3 means up to 4 calls.
    """

    def __init__(
        self,
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: ResultPredicate | None = None,
        exception_predicate: ExceptionPredicate | None = None,
    ) -> None:
        """Delays in ms.

        Raises:
            ValueError: a number is not greater than zero, `multiplier` is not above 1, or the limit is below the first.
        """
        self._max_attempts = _positive(max_attempts, "max_attempts")
        self._initial_delay = _positive(initial_delay, "initial_delay")
        self._max_retry_delay = _positive(max_retry_delay, "max_retry_delay")
        if max_retry_delay < initial_delay:
            raise ValueError(f"max_retry_delay of {max_retry_delay} ms is less than initial_delay, {initial_delay} ms.")
        if not multiplier > 1:
            raise ValueError(f"multiplier should be greater than 1, got {multiplier!r}.")
        self._multiplier = multiplier
        self._predicate = RetryPredicate(result_predicate, exception_predicate)

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        try:
            delay = self._initial_delay * self._multiplier ** (current_attempts - 1)
        except OverflowError:
            return self._max_retry_delay
        return int(min(self._max_retry_delay, delay))

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return self._predicate


def _positive(number: int, name: str) -> int:
    if index(number) <= 0:
        raise ValueError(f"{name} should be greater than zero.")
    return number


def _of_one_argument(predicate: Callable[..., bool] | None, name: str) -> Callable[[Any], bool] | None:
    if predicate is None:
        return None
    if not callable(predicate):
        raise TypeError(f"{name} is a function or None, got {predicate!r}")
    try:
        inspect.signature(predicate).bind(None)
    except TypeError as error:
        raise TypeError(
            f"{name} is called with one argument, {error}: bind the other arguments, for example "
            "partial(exception_type_predicate, expected_error_type=ValueError)"
        ) from None
    except ValueError:
        pass  # a builtin without a signature
    return predicate
