"""What an operator needs to know of a retry strategy; `datastream.async_retry_strategies` has PyFlink's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["RetryPredicate", "RetryStrategy"]


class RetryPredicate(Protocol):
    """Which results and exceptions are tried again."""

    def result_predicate(self) -> Callable[[list[Any]], bool] | None:
        """True for a result that is tried again; None: no result is."""
        ...

    def exception_predicate(self) -> Callable[[Exception], bool] | None:
        """True for an exception that is tried again; None: no exception is."""
        ...


class RetryStrategy(Protocol):
    """Whether and when a call is tried again."""

    def can_retry(self, current_attempts: int) -> bool:
        """Whether there may be another attempt after this many."""
        ...

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """How long to wait before the next attempt, in milliseconds."""
        ...

    def get_retry_predicate(self) -> RetryPredicate:
        """What is tried again."""
        ...
