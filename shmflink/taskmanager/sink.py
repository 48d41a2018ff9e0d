"""The end of a chain: drives a sink's writer and its committer (two-phase commit, Flink's Sink V2)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.connectors.base import Committer, Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, ControlElement, Element
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.operators.base import OperatorContext, SideOutput
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot
from shmflink.taskmanager.commit_messages import AtEnd, Committed, Ended, message
from shmflink.taskmanager.committing import CommittingOperator
from shmflink.taskmanager.pending_commits import PendingCommits, StagedCommit

__all__ = ["COMMITTABLES_STATE", "WRITER_STATE", "SinkOperator"]

COMMITTABLES_STATE: Final = "_committables"
"""(checkpoint id, committable), as `_Owned`, that were not committed at the barrier."""
WRITER_STATE: Final = "_writer"


@dataclass(frozen=True, slots=True)
class _Owned:
    """An element of both states. They are union states, because a subtask that removes leftovers must know everything
    that is kept.

    With unchanged parallelism every subtask commits its own elements, because it may be the only one that is restarted.
    """

    element: Any
    subtask: int
    parallelism: int


class SinkOperator(CommittingOperator):
    """Writes every batch.

    A sink with a committer writes in two phases. At a barrier the writer stages what was written since the previous
    barrier; the checkpoint holds what is staged until it is committed. When the checkpoint is complete, the operator's
    own thread commits, in order. A restored operator first commits what its checkpoint holds.

    If the sink has a global committer, commits are reported to it; until then they stay in snapshots.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._writer: SinkWriter | None = None
        self._commits: _Commits | None = None
        self._failure: BaseException | None = None
        self._is_finishing = False
        self._has_told_end = False  # the global committer waits for this subtask no longer
        self._mailbox: Any = None
        self._place = (0, 1)
        self.ends_outputs = sink.has_global_committer

    @property
    def is_users(self) -> bool:
        """Whether the sink is the user's code."""
        return not type(self._sink).__module__.startswith("shmflink.connectors.")

    def open(self, context: OperatorContext) -> None:
        self._mailbox = context.mailbox
        self._place = (context.subtask_index, context.parallelism)
        restored = context.restored.operator_state
        committables, states = (_elements(restored, name) for name in (COMMITTABLES_STATE, WRITER_STATE))
        open_ones = [owned for owned in committables if owned.subtask not in context.restored.committed]
        committer = self._sink.create_committer(context)
        if committer is None and self.ends_outputs:
            committer = _Passing()
        if committer is not None:
            self._commits = _Commits(context, committer, self._mine(open_ones), tells=self.ends_outputs)
            kept = [owned.element[1] for owned in committables] + [owned.element for owned in states]
            self._commits.run(lambda: self._sink.remove_leftovers(context, kept))
        if states:
            self._writer = self._sink.restore_writer(context, self._mine(states))
        else:
            self._writer = self._sink.create_writer(context)
        if self._commits is not None and context.restored.checkpoint_id is not None:
            is_mine = all(owned.parallelism == context.parallelism for owned in committables)
            self._commits.commit(context.restored.checkpoint_id, is_noted=is_mine)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        assert self._writer is not None, "process() before open()"
        self._writer.write(batch)
        return iter(())

    def finish(self) -> Iterator[Batch]:
        assert self._writer is not None, "finish() before open()"
        self._is_finishing = True
        self._writer.finish()
        return iter((message(AtEnd(*self._place)),) if self.ends_outputs else ())

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        """Commits are reported before a barrier, so that exactly one of the two sides has them in its snapshot."""
        if self.ends_outputs and isinstance(element, Barrier):
            yield from self.outputs()
        yield element

    @property
    def has_outputs(self) -> bool:
        return self._commits is not None and self._commits.has_untold and not self._has_told_end

    def outputs(self) -> Iterator[Batch]:
        if self._commits is not None and not self._has_told_end:
            for checkpoint_id, committables in self._commits.take_untold():
                yield message(Committed(*self._place, checkpoint_id, tuple(committables)))

    def last_outputs(self) -> Iterator[Batch]:
        """Commits of later checkpoints, which are empty, are not reported: the outputs have ended."""
        if self.ends_outputs:
            yield from self.outputs()
            self._has_told_end = True
            yield message(Ended(*self._place))

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        self.raise_failure()
        writer, commits = self._writer, self._commits
        assert writer is not None, "snapshot_state() before open()"
        is_whole = barrier.is_savepoint or barrier.checkpoint_id == FINAL_CHECKPOINT_ID
        prepare = writer.prepare_savepoint if is_whole else writer.prepare_commit
        staged: Callable[[], Sequence[Any]] = prepare(barrier.checkpoint_id)
        states: Callable[[], Sequence[Any]] = tuple if is_whole else writer.snapshot()
        if commits is not None:
            staged = commits.pending.stage(barrier.checkpoint_id, staged)

        def pending() -> Mapping[str, OperatorStatePart]:
            try:
                found = {COMMITTABLES_STATE: list(staged()), WRITER_STATE: list(states())}
            except BaseException as error:
                # What cannot be made durable now will not be in a later checkpoint either.
                self._fail(error)
                raise
            return {name: self._part(elements) for name, elements in found.items() if elements}

        return OperatorSnapshot(pending=pending)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self.raise_failure()
        if self._commits is not None:
            self._commits.commit(checkpoint_id)

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """What was staged for this checkpoint waits for the next one; a task at its end must know whether there is
        anything.
        """
        if self._commits is not None:
            self._commits.find_out()

    def close(self) -> None:
        writer, self._writer = self._writer, None
        commits, self._commits = self._commits, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if commits is not None:
                commits.close()

    @property
    def is_available(self) -> bool:
        return self._writer is None or self._writer.is_available

    @property
    def is_finished(self) -> bool:
        """True when nothing is in progress after `finish`. If the task ends without `finish`, a savepoint has
        everything.
        """
        self.raise_failure()
        if self._commits is not None and self._commits.is_busy:
            return False
        return self._writer is None or not self._is_finishing or self._writer.is_finished

    @property
    def needs_commit(self) -> bool:
        """True while something that was written waits for a checkpoint to be committed."""
        if self._commits is None or self._writer is None or self._has_told_end:
            return False
        return self._writer.has_uncommitted or not self._commits.pending.is_empty

    def raise_failure(self) -> None:
        """Raises the error of a thread of this operator: the task fails, and its successor commits again."""
        if self._failure is not None:
            raise self._failure
        if self._commits is not None:
            self._commits.raise_error()

    def _mine(self, elements: list[_Owned]) -> list[Any]:
        subtask, parallelism = self._place
        if all(owned.parallelism == parallelism for owned in elements):
            return [owned.element for owned in elements if owned.subtask == subtask]
        return [owned.element for owned in elements[subtask::parallelism]]

    def _part(self, elements: list[Any]) -> OperatorStatePart:
        owned = [_Owned(element, *self._place) for element in elements]
        return OperatorStatePart(Redistribution.UNION, owned, "sink")

    def _fail(self, error: BaseException) -> None:
        """Called in any thread; wakes the slot."""
        if self._failure is None:
            self._failure = error
        self._mailbox.wake()


class _Commits:
    """Runs the committer in its own thread. What is staged outlives a failed commit, because it is in the
    checkpoint.
    """

    def __init__(
        self, context: OperatorContext, committer: Committer, restored: Sequence[tuple[int, Any]], *, tells: bool
    ) -> None:
        """`tells`: a commit stays pending until it is taken by `take_untold`."""
        self.pending = PendingCommits(restored, tells=tells)
        self._tells = tells
        self._untold: deque[tuple[int, list[StagedCommit]]] = deque()
        self._committer = committer
        self._mailbox = context.mailbox
        self._note_commit = context.note_commit
        self._lock = threading.Lock()
        self._asked = 0
        self._is_final = False
        self._outbox = context.open_outbox(f"commit {context.task_name}", context.mailbox, lambda action: action())

    @property
    def is_busy(self) -> bool:
        """True while a request is not done."""
        with self._lock:
            return self._asked > 0

    def run(self, action: Callable[[], object]) -> None:
        """Runs in the committer's thread, after all earlier requests. Checkpoints are few, so the queue has no
        limit.
        """
        with self._lock:
            self._asked += 1
        self._outbox.put(lambda: self._run(action))

    def commit(self, checkpoint_id: int, *, is_noted: bool = True) -> None:
        """Makes visible what was staged for this checkpoint and earlier ones.

        `is_noted`: False if a different number of subtasks staged it, each of which has parts of it.
        """
        staged = self.pending.due(checkpoint_id)
        self._is_final |= checkpoint_id == FINAL_CHECKPOINT_ID
        if not self._tells and all(part.is_known_empty for part in staged):
            self.pending.committed(staged)
            return

        def commit() -> None:
            staged = self.pending.due(checkpoint_id)  # without what the previous commit has done
            committables = [committable for part in staged for committable in part.committables()]
            if committables:
                self._committer.commit(committables)
                if is_noted and not self._tells:  # otherwise it must be restored until it is committed globally
                    self._note_commit(checkpoint_id)
            self._committed(checkpoint_id, staged)

        self.run(commit)

    def _committed(self, checkpoint_id: int, staged: list[StagedCommit]) -> None:
        if not self._tells:
            self.pending.committed(staged)
            return
        for part in staged:
            part.is_done = True
        self._untold.append((checkpoint_id, staged))

    @property
    def has_untold(self) -> bool:
        """Whether `take_untold` has something."""
        return bool(self._untold)

    def take_untold(self) -> Iterator[tuple[int, list[tuple[int, Any]]]]:
        """(checkpoint, committables that were committed up to it, each with the checkpoint that staged it)."""
        while self._untold:
            checkpoint_id, staged = self._untold.popleft()
            self.pending.committed(staged)
            yield checkpoint_id, [(part.checkpoint_id, one) for part in staged for one in part.committables()]

    def find_out(self) -> None:
        """Takes from the writer what it has staged, even if no checkpoint has asked for it."""
        unknown = self.pending.unknown
        if unknown:
            self.run(lambda: [part.committables() for part in unknown])

    def raise_error(self) -> None:
        self._outbox.raise_error()

    def close(self) -> None:
        """Abandons what the end of a job without checkpoints staged and did not commit: no checkpoint refers to it."""
        if not self._outbox.close():
            return
        if not self._is_final:
            last = [part for part in self.pending.due(FINAL_CHECKPOINT_ID) if part.checkpoint_id == FINAL_CHECKPOINT_ID]
            committables = [committable for part in last for committable in _known(part.committables)]
            if committables:
                self._committer.abandon(committables)
        self._committer.close()

    def _run(self, action: Callable[[], object]) -> None:
        action()
        with self._lock:
            self._asked -= 1
        self._mailbox.wake()


class _Passing(Committer):
    """Of a sink whose global committer does everything."""

    def commit(self, committables: Sequence[Any]) -> None:
        """Does nothing: the commit is reported to the global committer."""


def _known(committables: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Empty if they could not be staged."""
    try:
        return committables()
    except Exception:  # reported to the thread that waits for it
        return ()


def _elements(restored: Mapping[str, OperatorStatePart], name: str) -> list[_Owned]:
    part = restored.get(name)
    return list(part.elements) if part is not None else []


register_plain(_Owned)
