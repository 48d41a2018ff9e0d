"""What tasks know of operators that commit in threads of their own: sinks, and their global committers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shmflink.core.batch import Batch
from shmflink.operators.base import Operator

__all__ = ["CommittingOperator"]


class CommittingOperator(Operator):
    """A task does not end before all its committing operators have."""

    ends_outputs = False
    """Whether readers of its outputs wait for commits: the task's outputs then end as late as the task."""

    def connect(self, say_ending: Callable[[], None]) -> None:
        """`say_ending` tells the JobManager that only commits are waited for, although inputs are open."""

    @property
    def is_finished(self) -> bool:
        """True when nothing is under way any more."""
        return True

    @property
    def needs_commit(self) -> bool:
        """True while something waits for a checkpoint to be committed."""
        return False

    @property
    def has_outputs(self) -> bool:
        """Whether `outputs` has something, which no input caused."""
        return False

    def outputs(self) -> Iterator[Batch]:
        """What commits have given since it was last asked for."""
        return iter(())

    def last_outputs(self) -> Iterator[Batch]:
        """What comes after the last commit."""
        return iter(())

    def raise_failure(self) -> None:
        """What went wrong in a thread of this operator."""
