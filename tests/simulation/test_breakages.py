"""The simulation detects planted bugs: each of these causes a violation within 500 seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from shmflink.checkpoint.in_progress import CheckpointsInProgress
from shmflink.checkpoint.pending import PendingCheckpoint
from shmflink.jobmachine.checkpoints import JobCheckpoints
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmachine.restore_points import RestorePoints
from shmflink.jobmanager.enumerators import Enumerators
from shmflink.jobmanager.splits import SplitServer
from shmflink.operators.aggregates.snapshots import TableSnapshot, TableState
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator, LocalWindowAggregateOperator
from shmflink.state.snapshots import RestoredState
from shmflink.taskmanager import sink, watermarks
from shmflink.taskmanager.barriers import BarrierAlignment
from shmflink.taskmanager.checkpoint_writer import CheckpointWriter
from shmflink.taskmanager.global_progress import GlobalProgress
from shmflink.taskmanager.inputs import TaskInputs
from shmflink.taskmanager.restore import Restore
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.task_end import TaskEnd
from shmflink.testing.simulation import run_schedule
from shmflink.testing.simulation.disk import SimulatedDisk, SimulatedStore
from shmflink.testing.simulation.jobmanager import SimulatedJobManager
from shmflink.testing.simulation.jobs import JOBS
from shmflink.testing.simulation.native_jobs import NATIVE_JOBS
from shmflink.testing.simulation.world import World

SEEDS = 500

Break = Callable[[pytest.MonkeyPatch], None]


def method(owner: Any, name: str, broken: object) -> Break:
    return lambda patch: patch.setattr(owner, name, broken)


def around(owner: Any, name: str, broken: Callable[..., Any]) -> Break:
    """`broken` gets the method as it is, then what that gets."""
    before = getattr(owner, name)
    return lambda patch: patch.setattr(owner, name, lambda *arguments, **named: broken(before, *arguments, **named))


def _as_delta(snapshot: TableSnapshot) -> TableSnapshot:
    snapshot.is_delta = True
    return snapshot


def _unfired(restored: RestoredState) -> RestoredState:
    """Without the times up to which windows have fired."""
    return replace(restored, operator_state={})


def _with_epochs_again(store: SimulatedStore, term: int) -> int:
    store.last_epoch = max(0, store.last_epoch - 1)
    return term


def acknowledge_one_too_few(before: Any, pending: PendingCheckpoint, *arguments: Any) -> bool:
    is_new: bool = before(pending, *arguments)
    if len(pending.waiting) == 1:
        pending.waiting.clear()
    return is_new


def commit_at_the_barrier(before: Any, world: World, committable: Any, rows: list[Any]) -> None:
    before(world, committable, rows)
    world.commit([committable])


IN_TASKS: Mapping[str, Break] = {
    "channels are not blocked": around(
        BarrierAlignment, "barrier", lambda before, *arguments: replace(before(*arguments), block=())
    ),
    "an end does not count": method(BarrierAlignment, "end_of_data", lambda self, _: self.abort(-1)),
    "in-flight rows are not recorded": method(TaskInputs, "is_recorded", lambda *_: False),
    "in-flight rows are not restored": method(Restore, "_channels", lambda *_: iter(())),
    "a commit at the barrier": around(World, "stage", commit_at_the_barrier),
    "commits are left out": around(
        sink, "_elements", lambda before, state, name: [] if name == sink.COMMITTABLES_STATE else before(state, name)
    ),
    "no wait for the last checkpoint": method(TaskEnd, "_waits", lambda *_: False),
    "maximum instead of minimum of watermarks": lambda patch: patch.setattr(watermarks, "min", max, raising=False),
    "an acknowledgement too few": around(PendingCheckpoint, "acknowledge", acknowledge_one_too_few),
    "FINISHED before the acknowledgement": method(CheckpointWriter, "after_writing", lambda _, __, action: action()),
}
IN_THE_JOB_MACHINE: Mapping[str, Break] = {
    "it resumes from the oldest checkpoint": lambda patch: patch.setattr(
        RestorePoints, "directories", property(lambda self: tuple(self._points))
    ),
    "readers that begin again get no splits back": method(SplitServer, "reset", lambda *_: None),
    "enumerators begin anew": around(
        Enumerators, "_open", lambda before, self, _, remembers: before(self, {}, remembers=remembers)
    ),
    "checkpoints do not wait for savepoints": method(CheckpointsInProgress, "has_room", True),
    "checkpoints are numbered from 1 again": around(
        JobCheckpoints, "opened", lambda before, self, event: before(self, replace(event, next_id=1))
    ),
    "the coordinator does not hear of an attempt's end": method(JobCheckpoints, "attempt_ended", lambda *_: None),
    "the coordinator does not hear of tasks that were over": around(
        JobCheckpoints,
        "attempts_started",
        lambda before, self, epochs, finished, ending, restored_id: before(self, epochs, [], ending, restored_id),
    ),
    "attempts do not hear of a lost TaskManager": lambda patch: patch.setattr(
        JobMachine, "_taskmanager_lost", lambda self, event: self._scheduler.slots.lose(event.taskmanager)
    ),
    "checkpoints go before the end is durable": method(SimulatedJobManager, "_keep_end", lambda *_: None),
}
IN_LEADERSHIP: Mapping[str, Break] = {
    "the HA directory takes calls of a deposed JobManager": method(
        SimulatedJobManager, "is_leader", property(lambda _: True)
    ),
    "the disk takes calls of a deposed JobManager": method(SimulatedDisk, "_leads", property(lambda _: True)),
    "a deposed JobManager is given the epochs of its successor": around(
        SimulatedStore, "next_term", lambda before, self: _with_epochs_again(self, before(self))
    ),
}
IN_GLOBAL_COMMITTERS: Mapping[str, Break] = {
    "a global committer loses what it holds": method(GlobalProgress, "held", lambda _: ()),
    "a global committer does not wait for all subtasks": method(
        GlobalProgress, "whole", lambda self: [(one, list(held)) for one, held in sorted(self._held.items())]
    ),
    "subtasks do not keep what they have to report": around(
        sink, "_elements", lambda before, state, name: [] if name == sink.COMMITTABLES_STATE else before(state, name)
    ),
    "commits are reported behind the barrier": method(SinkOperator, "process_control", lambda _, one: iter((one,))),
}
JOBS_OF_REGIONS = ("regions", "islands")
"""Where readers begin again while others go on."""
IN_NATIVE_TABLES: Mapping[str, Break] = {
    "a table is restored empty": method(TableState, "restored", lambda _: iter(())),
    "what could not be saved counts as saved": around(
        TableSnapshot, "saved", lambda before, self, _: before(self, True)
    ),
    "a snapshot is always of changes": around(
        TableState, "frozen", lambda before, self, table, barrier: _as_delta(before(self, table, barrier))
    ),
    "a part of a snapshot is not written": around(
        TableSnapshot, "batches", lambda before, self: (batch.slice(1) for batch in before(self))
    ),
    "a local step keeps rows across a barrier": method(
        LocalWindowAggregateOperator, "process_control", lambda _, element: iter((element,))
    ),
    "a window that has fired is kept as if it had not": around(
        GlobalWindowAggregateOperator, "_restore", lambda before, self, restored: before(self, _unfired(restored))
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", [*IN_TASKS, *IN_THE_JOB_MACHINE, *IN_LEADERSHIP])
def test_what_is_broken_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    {**IN_TASKS, **IN_THE_JOB_MACHINE, **IN_LEADERSHIP}[name](monkeypatch)
    jobs = JOBS_OF_REGIONS if name.startswith("readers") else tuple(JOBS)
    assert first_violation(jobs) is not None, f"{name}: no promise was broken in {SEEDS} schedules"


@pytest.mark.long
@pytest.mark.parametrize("name", IN_NATIVE_TABLES)
def test_what_is_broken_in_native_tables_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    IN_NATIVE_TABLES[name](monkeypatch)
    assert first_violation(tuple(NATIVE_JOBS)) is not None, f"{name}: no promise was broken in {SEEDS} schedules"


@pytest.mark.long
@pytest.mark.parametrize("name", IN_GLOBAL_COMMITTERS)
def test_what_is_broken_in_global_committers_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    IN_GLOBAL_COMMITTERS[name](monkeypatch)
    assert first_violation(("global-sink",)) is not None, f"{name}: no promise was broken in {SEEDS} schedules"


def first_violation(jobs: tuple[str, ...]) -> int | None:
    """Its seed."""
    return next((seed for seed in range(SEEDS) if run_schedule(seed, jobs=jobs).violation), None)
