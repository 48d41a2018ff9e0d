"""The class of a task's error determines the reaction to it."""

from __future__ import annotations

import pytest

from shmflink.errors import CheckpointCorruptedError, StateMismatchError, UserFunctionError
from shmflink.taskmanager.failures import failure_of


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (StateMismatchError("another type"), "StateMismatchError"),
        (CheckpointCorruptedError("a byte is wrong"), "CheckpointCorruptedError"),
        (ValueError("the user's own"), "UserFunctionError"),
    ],
)
def test_state_that_does_not_fit_is_no_failure_of_the_function_that_asked_for_it(cause, kind):
    error = UserFunctionError("open() failed", operator="counts", traceback_text="in open()")
    error.__cause__ = cause
    failure = failure_of(error)
    assert (failure.kind, failure.operator, failure.traceback_text) == (kind, "counts", "in open()")
