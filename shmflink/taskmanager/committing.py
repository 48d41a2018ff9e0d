"""What tasks know about operators that commit in their own threads: sinks and their global committers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shmflink.core.batch import Batch
from shmflink.operators.base import Operator

__all__ = ["CommittingOperator"]


class CommittingOperator(Operator):
    """A task does not end before all its committing operators have ended."""

    ends_outputs = False
    """Whether readers of its outputs wait for commits: the task's outputs then end as late as the task."""

    def connect(self, say_ending: Callable[[], None]) -> None:
        """`say_ending` reports to the JobManager that the task waits only for commits although inputs are open."""

    @property
    def is_finished(self) -> bool:
        """True when nothing is in progress any longer."""
        return True

    @property
    def needs_commit(self) -> bool:
        """True while a checkpoint must complete before something can be committed."""
        return False

    def last_outputs(self) -> Iterator[Batch]:
        """The output after the last commit."""
        return iter(())

    def raise_failure(self) -> None:
        """The error of a thread of this operator."""
