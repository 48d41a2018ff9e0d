"""The operator of a sink: what is staged, committed, restored and abandoned, with a sink that only records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest
from oracle.two_phases import Attempt

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.connectors.base import Committer, Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier
from shmflink.operators.base import OperatorContext
from shmflink.taskmanager.sink import COMMITTABLES_STATE, WRITER_STATE


class Ledger(Sink):
    """Every batch is a row of the committable of its checkpoint. What happened is in the class: sinks are pickled."""

    visible: ClassVar[list[Any]]
    commits: ClassVar[list[list[Any]]]
    abandoned: ClassVar[list[Any]]
    kept: ClassVar[list[list[Any]]]
    failures: ClassVar[list[Exception]]
    gate: ClassVar[threading.Event]

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return self.restore_writer(context, ())

    def restore_writer(self, context: OperatorContext, states: Sequence[Any]) -> SinkWriter:
        return _Writer(context.subtask_index, states)

    def create_committer(self, context: OperatorContext) -> Committer:
        return _Committer()

    def remove_leftovers(self, context: OperatorContext, kept: Sequence[Any]) -> None:
        self.kept.append(list(kept))


class _Writer(SinkWriter):
    def __init__(self, subtask: int, states: Sequence[Any]) -> None:
        self._subtask = subtask
        self._rows: list[Any] = []
        self._states = list(states)

    def write(self, batch: Batch) -> None:
        self._rows += batch.rows()

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        rows, self._rows = self._rows, []
        return lambda: [tuple(rows)] if rows else []

    def snapshot(self) -> Callable[[], Sequence[Any]]:
        states = [*self._states, f"writer {self._subtask}"]
        return lambda: states

    @property
    def has_uncommitted(self) -> bool:
        return bool(self._rows)


class _Committer(Committer):
    def commit(self, committables: Sequence[Any]) -> None:
        Ledger.gate.wait()
        if Ledger.failures:
            raise Ledger.failures.pop()
        Ledger.commits.append(list(committables))
        Ledger.visible += [row for rows in committables for row in rows if row not in Ledger.visible]

    def abandon(self, committables: Sequence[Any]) -> None:
        Ledger.abandoned += committables


@pytest.fixture(autouse=True)
def ledger() -> Iterator[type[Ledger]]:
    Ledger.visible, Ledger.commits, Ledger.abandoned, Ledger.kept, Ledger.failures = [], [], [], [], []
    Ledger.gate = threading.Event()
    Ledger.gate.set()
    yield Ledger
    Ledger.gate.set()


def rows(*values: Any) -> Batch:
    return Batch.of_rows(list(values))


def test_rows_are_visible_when_their_checkpoint_is_complete() -> None:
    """[E1]"""
    attempt = Attempt(Ledger())
    attempt.write(rows(1), rows(2))
    checkpoint = attempt.checkpoint(1)
    assert checkpoint.elements(COMMITTABLES_STATE) == [(1, (1, 2))]
    attempt.write(rows(3))
    assert Ledger.visible == []
    attempt.complete(1)
    assert Ledger.visible == [1, 2]
    assert attempt.operators[0].needs_commit
    attempt.checkpoint(2)
    attempt.complete(2)
    assert Ledger.visible == [1, 2, 3]
    assert not attempt.operators[0].needs_commit
    attempt.close()
    assert Ledger.abandoned == []


def test_empty_checkpoints_commit_nothing() -> None:
    """[E9]"""
    attempt = Attempt(Ledger())
    for checkpoint_id in range(1, 11):
        assert attempt.checkpoint(checkpoint_id).elements(COMMITTABLES_STATE) == []
        attempt.complete(checkpoint_id)
    assert Ledger.commits == []
    assert attempt.operators[0].is_finished
    attempt.close()


def test_an_aborted_checkpoint_is_committed_with_the_next() -> None:
    attempt = Attempt(Ledger())
    attempt.write(rows(1))
    attempt.checkpoint(1)
    for operator in attempt.operators:
        operator.checkpoint_aborted(1)
    attempt.write(rows(2))
    assert attempt.checkpoint(2).elements(COMMITTABLES_STATE) == [(1, (1,)), (2, (2,))]
    attempt.complete(2)
    assert Ledger.commits == [[(1,), (2,)]]
    attempt.close()


def test_a_sink_at_its_end_does_not_wait_for_what_an_aborted_checkpoint_might_have_staged() -> None:
    """Its task was served by the checkpoint before; nobody begins another one for it."""
    attempt = Attempt(Ledger())
    (operator,) = attempt.operators
    attempt.write(rows(1))
    attempt.checkpoint(1)
    operator.snapshot_state(Barrier(2, 0))  # no space: nobody asks what it staged
    attempt.complete(1)
    assert operator.needs_commit
    operator.checkpoint_aborted(2)
    attempt.settle()
    assert not operator.needs_commit
    attempt.close()


@pytest.mark.parametrize("was_committed", [False, True])
def test_a_restored_operator_commits_before_anything_newer(was_committed: bool) -> None:
    """[E2] [E3] The checkpoint was complete; whether its commit was, too, nobody knows."""
    first = Attempt(Ledger())
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    if was_committed:
        first.complete(1)
    first.close()
    second = Attempt(Ledger(), epoch=2, restored=checkpoint)
    second.write(rows(2))
    second.checkpoint(2)
    second.complete(2)
    assert Ledger.visible == [1, 2]
    assert Ledger.commits[-2:] == [[(1,)], [(2,)]]
    second.close()


def test_a_finished_task_waits_for_its_restored_commits() -> None:
    first = Attempt(Ledger())
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    first.close()
    Ledger.gate.clear()
    second = Attempt(Ledger(), epoch=2, restored=checkpoint)
    assert not second.operators[0].is_finished
    assert second.operators[0].needs_commit
    Ledger.gate.set()
    second.settle()
    assert second.operators[0].is_finished
    assert not second.operators[0].needs_commit
    second.close()


@pytest.mark.parametrize(("before", "after"), [(3, 2), (2, 3), (2, 2)])
def test_rescaling_deals_out_what_is_staged(before: int, after: int) -> None:
    """[E12]"""
    first = Attempt(Ledger(), before)
    for subtask in range(before):
        first.write(rows(subtask), subtask=subtask)
    checkpoint = first.checkpoint(1)
    assert sorted(checkpoint.elements(WRITER_STATE)) == [f"writer {subtask}" for subtask in range(before)]
    first.close()
    Ledger.kept.clear()
    second = Attempt(Ledger(), after, epoch=2, restored=checkpoint)
    second.settle()
    assert sorted(Ledger.visible) == list(range(before))
    assert sum(map(len, Ledger.commits)) == before
    # Whoever removes leftovers knows what all of them go on from.
    states = [f"writer {subtask}" for subtask in range(before)]
    assert Ledger.kept == [[(subtask,) for subtask in range(before)] + states] * after
    again = second.checkpoint(2).elements(WRITER_STATE)
    assert sorted(again) == sorted([*states, *(f"writer {subtask}" for subtask in range(after))])
    second.close()


def test_a_subtask_that_is_restarted_alone_takes_what_is_its_own() -> None:
    """[E2] The others of its operator run on, and commit what is theirs."""
    first = Attempt(Ledger(), 3)
    first.write(rows("a"), subtask=0)
    first.write(rows("c"), subtask=2)
    checkpoint = first.checkpoint(1)
    second = Attempt(Ledger(), 3, epoch=2, restored=checkpoint, subtasks=[2])
    second.settle()
    assert Ledger.visible == ["c"]
    assert second.checkpoint(2).elements(WRITER_STATE) == ["writer 2", "writer 2"]
    first.complete(1)
    assert sorted(Ledger.visible) == ["a", "c"]
    first.close()
    second.close()


def test_a_failed_commit_fails_the_task_and_is_repeated_after_the_restart() -> None:
    """[E11]"""
    first = Attempt(Ledger())
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    Ledger.failures.append(PermissionError("not yours"))
    with pytest.raises(PermissionError, match="not yours"):
        first.complete(1)
    with pytest.raises(PermissionError):
        first.checkpoint(2)
    first.close()
    assert Ledger.abandoned == []
    second = Attempt(Ledger(), epoch=2, restored=checkpoint)
    second.settle()
    assert Ledger.visible == [1]
    second.close()


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_job_without_checkpoints_commits_at_its_end_or_leaves_nothing(is_complete: bool) -> None:
    attempt = Attempt(Ledger(), configuration={})
    attempt.write(rows(1))
    attempt.finish()
    assert attempt.operators[0].needs_commit
    attempt.checkpoint(FINAL_CHECKPOINT_ID)
    assert attempt.operators[0].needs_commit
    if is_complete:
        attempt.complete(FINAL_CHECKPOINT_ID)
        assert not attempt.operators[0].needs_commit
    attempt.close()
    assert (Ledger.visible, Ledger.abandoned) == (([1], []) if is_complete else ([], [(1,)]))


def test_savepoints_hold_no_writer_state() -> None:
    attempt = Attempt(Ledger())
    attempt.write(rows(1))
    savepoint = attempt.checkpoint(1, is_savepoint=True)
    assert savepoint.elements(COMMITTABLES_STATE) == [(1, (1,))]
    assert savepoint.elements(WRITER_STATE) == []
    attempt.checkpoint(2)
    attempt.complete(2)  # the savepoint was not a checkpoint to go back to: its rows wait for one
    assert Ledger.visible == [1]
    attempt.close()


def test_what_cannot_be_staged_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Sequence[Any]:
        raise OSError("disk full")

    monkeypatch.setattr(_Writer, "prepare_commit", lambda self, checkpoint_id: fail)
    attempt = Attempt(Ledger())
    with pytest.raises(OSError, match="disk full"):
        attempt.checkpoint(1)
    with pytest.raises(OSError, match="disk full"):
        attempt.operators[0].raise_failure()
    attempt.close()
