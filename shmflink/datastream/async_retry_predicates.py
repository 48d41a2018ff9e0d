"""Predicates for retry strategies (`pyflink.datastream.async_retry_predicates`)."""

from __future__ import annotations

from collections.abc import Sized

__all__ = ["empty_result_predicate", "exception_type_predicate", "has_exception_predicate"]


def empty_result_predicate(result: Sized | None) -> bool:
    """True for a call that returned no result."""
    return result is None or len(result) == 0


def has_exception_predicate(error: BaseException | None) -> bool:
    """True for a call that raised an exception."""
    return error is not None


def exception_type_predicate(error: BaseException, expected_error_type: type[BaseException]) -> bool:
    """True for an exception of this type. Bind the type before passing it to a strategy:
    `partial(exception_type_predicate, expected_error_type=ValueError)`.
    """
    return isinstance(error, expected_error_type)
