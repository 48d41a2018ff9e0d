"""The global committer of a sink: one task behind all its subtasks (Flink: GlobalCommitterOperator)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from shmflink.connectors.base import Sink
from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier
from shmflink.core.outbox import Delivery
from shmflink.operators.base import OperatorContext
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot
from shmflink.taskmanager.committing import CommittingOperator
from shmflink.taskmanager.global_progress import GlobalProgress

__all__ = ["GLOBAL_COMMITTABLES_STATE", "GlobalCommitOperator"]

GLOBAL_COMMITTABLES_STATE: Final = "_global_committables"
"""(checkpoint id, committable) that subtasks had reported before the barrier and that was not yet committed
globally.
"""


class GlobalCommitOperator(CommittingOperator):
    """Commits a checkpoint as soon as all subtasks have committed their parts of it, in its own thread.

    A subtask keeps what it has to report in its snapshots until it has reported it. From then on, this operator's
    snapshots keep it until it is committed. So a restore finds it on one of the two sides.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._say_ending: Callable[[], None] | None = None
        self._outbox: Delivery | None = None
        self._lock = threading.Lock()
        self._asked: set[int] = set()  # checkpoints that the thread was given

    def connect(self, say_ending: Callable[[], None]) -> None:
        self._say_ending = say_ending

    def open(self, context: OperatorContext) -> None:
        restored = context.restored.operator_state.get(GLOBAL_COMMITTABLES_STATE)
        self._progress = GlobalProgress(restored.elements if restored is not None else ())
        self._mailbox = context.mailbox
        committer = self._sink.create_global_committer(context)
        if committer is None:
            raise TypeError(f"{type(self._sink).__name__}.create_global_committer() returned None")
        self._committer = committer
        self._outbox = context.open_outbox(f"global commit {context.task_name}", context.mailbox, self._commit)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        with self._lock:
            for told in batch.rows():  # a few for each checkpoint
                self._progress.tell(told)
        self._commit_whole()
        if self._say_ending is not None and self._progress.is_at_end:
            self._say_ending()
            self._say_ending = None
        return iter(())

    def finish(self) -> Iterator[Batch]:
        with self._lock:
            self._progress.end()
        self._commit_whole()
        return iter(())

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        self.raise_failure()
        with self._lock:
            held = list(self._progress.held())
        part = OperatorStatePart(Redistribution.UNION, held, "global committer")
        return OperatorSnapshot(operator_state={GLOBAL_COMMITTABLES_STATE: part} if held else {})

    @property
    def is_finished(self) -> bool:
        self.raise_failure()
        with self._lock:
            return not self._asked

    def raise_failure(self) -> None:
        if self._outbox is not None:
            self._outbox.raise_error()

    def close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None and outbox.close():
            self._committer.close()

    def _commit_whole(self) -> None:
        assert self._outbox is not None, "a commit before open()"
        with self._lock:
            new = [one for one in self._progress.whole() if one[0] not in self._asked]
            self._asked.update(checkpoint_id for checkpoint_id, _ in new)
        for one in new:
            self._outbox.put(one)

    def _commit(self, whole: tuple[int, list[Any]]) -> None:
        """In the committer's thread."""
        checkpoint_id, committables = whole
        self._committer.commit(committables)
        with self._lock:
            self._progress.committed(checkpoint_id)
            self._asked.discard(checkpoint_id)
        self._mailbox.wake()
