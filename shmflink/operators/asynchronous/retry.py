"""The part of a retry strategy that operators use; `datastream.async_retry_strategies` has PyFlink's classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["RetryPredicate", "RetryStrategy"]


class RetryPredicate(Protocol):
    """Which results and exceptions cause a retry."""

    def result_predicate(self) -> Callable[[list[Any]], bool] | None:
        """True for a result that causes a retry; None: no result does."""
        ...

    def exception_predicate(self) -> Callable[[Exception], bool] | None:
        """True for an exception that causes a retry; None: no exception does."""
        ...


class RetryStrategy(Protocol):
    """Whether and when a call is retried."""

    def can_retry(self, current_attempts: int) -> bool:
        """Whether another attempt may follow after `current_attempts` attempts."""
        ...

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """How long to wait before the next attempt, in milliseconds."""
        ...

    def get_retry_predicate(self) -> RetryPredicate:
        """What causes a retry."""
        ...
