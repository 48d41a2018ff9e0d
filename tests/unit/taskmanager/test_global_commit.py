"""A sink with a global committer: what its subtasks report, and what is committed globally, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from oracle.mailboxes import WaitableMailbox
from oracle.workbench import RecordingPartition, Workbench

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.connectors.base import Committer, Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, EndOfData, Watermark
from shmflink.operators.base import OperatorContext
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import RestoredState
from shmflink.taskmanager.commit_messages import AtEnd, Committed, Ended, message
from shmflink.taskmanager.global_commit import GLOBAL_COMMITTABLES_STATE, GlobalCommitOperator
from shmflink.taskmanager.listener import TaskState
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.sink import COMMITTABLES_STATE, SinkOperator


class Numbers(Sink):
    """What is committed by subtasks, and globally, in lists of the test's."""

    def __init__(self, own: list[Any] | None, globally: list[Any], fails: int = 0) -> None:
        self._own, self._globally, self._fails = own, globally, fails

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return Writer()

    def create_committer(self, context: OperatorContext) -> Committer | None:
        return None if self._own is None else Lists(self._own, 0)

    def create_global_committer(self, context: OperatorContext) -> Committer:
        return Lists(self._globally, self._fails)


class Writer(SinkWriter):
    def __init__(self) -> None:
        self._rows: list[Any] = []

    def write(self, batch: Batch) -> None:
        self._rows += batch.rows()

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        rows, self._rows = self._rows, []
        return lambda: [tuple(rows)] if rows else []

    @property
    def has_uncommitted(self) -> bool:
        return bool(self._rows)


class Lists(Committer):
    def __init__(self, target: list[Any], fails: int) -> None:
        self._target, self._fails = target, fails

    def commit(self, committables: Sequence[Any]) -> None:
        if self._fails:
            raise OSError("the catalogue is away")
        self._target.append(sorted(committables))


class Operator:
    """An opened global committer, and what it has committed."""

    def __init__(self, bench: Workbench, held: Sequence[Any] = (), fails: int = 0) -> None:
        self.committed: list[Any] = []
        self.endings = 0
        self.mailbox = WaitableMailbox()
        self.operator = GlobalCommitOperator(Numbers(None, self.committed, fails))
        self.operator.connect(self._ending)
        part = OperatorStatePart(Redistribution.UNION, list(held), "global committer")
        context = bench.node(self.operator).context
        context.mailbox = self.mailbox
        context.restored = RestoredState(operator_state={GLOBAL_COMMITTABLES_STATE: part})
        self.operator.open(context)

    def _ending(self) -> None:
        self.endings += 1

    def tell(self, *told: Committed | AtEnd | Ended) -> list[Any]:
        """What is committed when nothing is under way."""
        for each in told:
            list(self.operator.process(message(each)))
        self.mailbox.wait_until(lambda: self.operator.is_finished)
        return self.committed

    def held(self) -> list[Any]:
        parts = self.operator.snapshot_state(Barrier(1, 0)).operator_state
        return list(parts[GLOBAL_COMMITTABLES_STATE].elements) if parts else []


def test_a_checkpoint_is_committed_globally_when_all_subtasks_have_committed_it(bench: Workbench) -> None:
    one = Operator(bench)
    assert one.tell(Committed(0, 2, 1, ((1, "a"),))) == []
    assert one.held() == [(1, "a")]
    assert one.tell(Committed(1, 2, 1, ((1, "b"),))) == [["a", "b"]]
    assert one.held() == []
    one.operator.close()


def test_what_was_told_before_a_restore_is_committed_with_the_rest(bench: Workbench) -> None:
    one = Operator(bench, held=[(1, "a")])
    assert one.tell(Committed(0, 2, 2, ())) == []
    assert one.tell(Committed(1, 2, 2, ((1, "b"), (2, "c")))) == [["a", "b"], ["c"]]
    one.operator.close()


def test_the_end_of_all_subtasks_makes_everything_whole(bench: Workbench) -> None:
    one = Operator(bench, held=[(1, "a")])
    list(one.operator.finish())
    assert one.tell() == [["a"]]
    one.operator.close()


def test_a_committer_that_waits_for_commits_alone_says_so_once(bench: Workbench) -> None:
    one = Operator(bench)
    one.tell(AtEnd(0, 2))
    assert one.endings == 0
    one.tell(AtEnd(1, 2), Ended(0, 2))
    assert one.endings == 1
    one.operator.close()


def test_what_could_not_be_committed_globally_fails_the_task_and_is_not_lost(bench: Workbench) -> None:
    one = Operator(bench, held=[(1, "a")], fails=1)
    list(one.operator.finish())
    with pytest.raises(OSError, match="the catalogue is away"):
        one.mailbox.wait_until(lambda: one.operator.is_finished)
    one.operator.close()


@pytest.mark.parametrize("has_own", [True, False])
def test_a_subtask_tells_what_it_has_committed_and_ends_its_output_after_that(bench: Workbench, has_own: bool) -> None:
    """Rows in, a checkpoint, its completion, the end, the last checkpoint: and what the global committer is told."""
    own: list[Any] = []
    mailbox, told = WaitableMailbox(), RecordingPartition()
    (channel,), gate = bench.gate()
    node = bench.node(SinkOperator(Numbers(own if has_own else None, [])), partitions=[0])
    node.context.mailbox = mailbox
    task = bench.task(node, [gate], [OutputEnd(told)], settings=CheckpointSettings(interval_ms=1000))
    task.open()

    def run() -> None:
        while task.is_runnable():
            task.run_quantum()

    def complete(checkpoint_id: int, count: int) -> None:
        task.checkpoint_completed(checkpoint_id, stops=False)

        def is_told() -> bool:
            run()
            return len(told.elements) >= count

        mailbox.wait_until(is_told)

    channel.try_push(Batch.of_rows([1, 2]))
    channel.push_control(Barrier(1, 0))
    run()
    assert told.elements == [Barrier(1, 0)]
    bench.listener.snapshots[0].operators[0][1].pending()
    complete(1, 2)
    channel.try_push(Batch.of_rows([3]))
    channel.push_control(EndOfData())
    run()
    assert bench.listener.endings == [task.deployment.subtask]
    task.trigger_checkpoint(Barrier(2, 0), stops=False)
    run()
    bench.listener.snapshots[1].operators[0][1].pending()
    complete(2, 6)
    run()
    rows = [e.rows()[0] if isinstance(e, Batch) else e for e in told.elements if not isinstance(e, Watermark)]
    assert rows == [
        Barrier(1, 0),
        Committed(0, 1, 1, ((1, (1, 2)),)),
        AtEnd(0, 1),
        Barrier(2, 0),
        Committed(0, 1, 2, ((2, (3,)),)),
        Ended(0, 1),
        EndOfData(),
    ]
    assert own == ([[(1, 2)], [(3,)]] if has_own else [])
    assert bench.listener.states[-1][1] is TaskState.FINISHED


def test_what_is_not_told_yet_is_in_the_snapshot_of_the_next_barrier(bench: Workbench) -> None:
    mailbox = WaitableMailbox()
    node = bench.node(SinkOperator(Numbers([], [])))
    node.context.mailbox = mailbox
    sink = node.operator
    sink.open(node.context)
    list(sink.process(Batch.of_rows([1])))
    sink.snapshot_state(Barrier(1, 0)).pending()
    sink.checkpoint_completed(1)
    mailbox.wait_until(lambda: sink.has_outputs)
    sink.checkpoint_completed(1)  # again: it is not committed twice
    kept = sink.snapshot_state(Barrier(2, 0)).pending()[COMMITTABLES_STATE]
    assert [owned.element for owned in kept.elements] == [(1, (1,))]
    mailbox.wait_until(lambda: sink.is_finished)
    between = sink.snapshot_state(Barrier(3, 0)).pending  # at the barrier it is not told
    told = [batch.rows()[0] for batch in sink.outputs()]
    assert [owned.element for owned in between()[COMMITTABLES_STATE].elements] == [(1, (1,))]
    assert [each.committables for each in told] == [((1, (1,)),), ()]
    assert COMMITTABLES_STATE not in sink.snapshot_state(Barrier(4, 0)).pending()
    sink.close()


def test_a_checkpoint_that_completes_after_the_end_of_the_outputs_is_not_reported(bench: Workbench) -> None:
    """Nothing of the subtask is in it, and its readers have had their last element."""
    mailbox = WaitableMailbox()
    node = bench.node(SinkOperator(Numbers([], [])))
    node.context.mailbox = mailbox
    sink = node.operator
    sink.open(node.context)
    list(sink.finish())
    sink.snapshot_state(Barrier(1, 0)).pending()
    assert [batch.rows()[0] for batch in sink.last_outputs()] == [Ended(0, 1)]
    sink.checkpoint_completed(1)
    mailbox.wait_until(lambda: sink.is_finished)
    assert (sink.has_outputs, sink.needs_commit) == (False, False)
    assert list(sink.process_control(Barrier(2, 0))) == [Barrier(2, 0)]
    sink.close()
