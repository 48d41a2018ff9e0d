"""Turns an exception of a task into the Failure that the user reads."""

from __future__ import annotations

import traceback

from shmflink.errors import CheckpointError, StateMismatchError, UsageError, UserFunctionError
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.operators.functions.user_function import has_user_frame, user_traceback
from shmflink.rpc.messages import Failure

__all__ = ["failure_of"]


def failure_of(error: BaseException, deployment: TaskDeployment | None = None) -> Failure:
    """`error` with its traceback: the user's own if a user's function raised."""
    task_name = deployment.task_name if deployment is not None else ""
    subtask = deployment.subtask.subtask if deployment is not None else -1
    if isinstance(error, UserFunctionError):
        return Failure(
            _kind(error),
            str(error),
            traceback_text=error.traceback_text,
            operator=error.operator,
            subtask=error.subtask if error.subtask >= 0 else subtask,
            task_name=task_name,
            record=error.record,
        )
    if isinstance(error, SystemExit):
        return Failure(
            "UserFunctionError",
            f"user code called sys.exit({error.code!r}); end a task by returning, a job with cancel()\n"
            f"{user_traceback(error)}",
            subtask=subtask,
            task_name=task_name,
        )
    # The message says what the user has to change. The engine's own stack would only hide it.
    is_told_in_words = isinstance(error, UsageError) and not has_user_frame(error)
    return Failure(
        type(error).__name__,
        str(error),
        traceback_text="" if is_told_in_words else "".join(traceback.format_exception(error)),
        subtask=subtask,
        task_name=task_name,
    )


def _kind(error: UserFunctionError) -> str:
    """State of another type and damaged state files are detected when user code requests its state; that error decides
    whether the job can ever run.
    """
    cause = error.__cause__
    return type(cause if isinstance(cause, (StateMismatchError, CheckpointError)) else error).__name__
