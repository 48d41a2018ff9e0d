"""The checkpoint coordinator against a naive model, for any events in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    CheckpointRequested,
    Declined,
    Discard,
    Drain,
    FailJob,
    NotifyAborted,
    NotifyCompleted,
    RequestDone,
    SavepointRequested,
    StartCheckpoint,
    Store,
    Stored,
    StoreFailed,
    SwitchToUnaligned,
    TaskFinished,
    TaskReachedEnd,
    Tick,
)
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.elements import BARRIER_SAVEPOINT
from shmflink.core.ids import SubtaskId

TASKS = tuple(SubtaskId(0, i) for i in range(3))
TASK = st.sampled_from(TASKS)
AGE = st.integers(0, 2)  # of a checkpoint: 0 = the newest


class Coordinator(RuleBasedStateMachine):
    """The model: who has answered which checkpoint, what is being stored, which requests are open."""

    @initialize(
        interval_ms=st.sampled_from((None, 10, 25)),
        min_pause_ms=st.sampled_from((0, 15)),
        max_concurrent=st.integers(1, 3),
        tolerable=st.integers(0, 2),
        aligned_timeout_ms=st.sampled_from((None, 0, 7)),
        after_tasks_finish=st.booleans(),
    )
    def start(self, interval_ms, min_pause_ms, max_concurrent, tolerable, aligned_timeout_ms, after_tasks_finish):
        self.settings = CheckpointSettings(
            interval_ms=interval_ms,
            timeout_ms=40,
            min_pause_ms=min_pause_ms,
            max_concurrent=max_concurrent,
            tolerable_failures=tolerable,
            aligned_timeout_ms=aligned_timeout_ms,
            after_tasks_finish=after_tasks_finish,
        )
        self.coordinator = CheckpointCoordinator(self.settings, TASKS, start_id=5)
        self.now_ms = 0
        self.ids: list[int] = []
        self.kinds: dict[int, int] = {}
        self.triggered_ms: dict[int, int] = {}
        self.answered: dict[int, set[SubtaskId]] = {}
        self.acknowledged: dict[int, set[SubtaskId]] = {}
        self.storing: set[int] = set()
        self.over: set[int] = set()
        self.finished: set[SubtaskId] = set()
        self.ending: set[SubtaskId] = set()
        self.open_requests: set[int] = set()
        self.requests = 0
        self.is_running = self.is_failing = False
        self.completed_ms = None
        self.failures = 0
        self.tell(AttemptStarted())
        self.is_running = True

    # --- what happens ---

    def tell(self, event):
        for effect in self.coordinator.handle(event, self.now_ms):
            self.check(effect)

    @rule(passes_ms=st.integers(0, 30))
    def time(self, passes_ms):
        self.now_ms += passes_ms
        self.tell(Tick())

    @rule(task=TASK, age=AGE)
    def acknowledge(self, task, age):
        if len(self.ids) <= age:
            return
        number = self.ids[-1 - age]
        if self.is_running and number in self.answered and number not in self.storing:
            if task not in self.answered[number]:
                self.acknowledged[number].add(task)
            self.answered[number].add(task)
        self.tell(Acknowledged(task, number))

    @rule(age=AGE)
    def decline(self, age):
        if len(self.ids) > age:
            self.tell(Declined(TASKS[0], self.ids[-1 - age], "no space"))

    @precondition(lambda self: self.storing)
    @rule(works=st.booleans(), newest=st.booleans())
    def store(self, works, newest):
        number = max(self.storing) if newest else min(self.storing)
        self.tell(Stored(number, f"chk-{number}") if works else StoreFailed(number, "no space"))
        assert number in self.over or self.kinds[number] == BARRIER_SAVEPOINT
        self.storing.discard(number)
        self.over.add(number)
        if works:
            self.completed_ms = self.now_ms

    @precondition(lambda self: self.is_running)
    @rule(task=TASK)
    def finish(self, task):
        if task in self.finished:
            return
        self.finished.add(task)
        self.ending.discard(task)
        for number in self.answered:
            if number not in self.storing:
                self.answered[number].add(task)
        self.tell(TaskFinished(task))

    @precondition(lambda self: self.is_running)
    @rule(task=TASK)
    def end(self, task):
        if task not in self.finished and task not in self.ending:
            self.ending.add(task)
            self.tell(TaskReachedEnd(task))

    @rule(stops=st.booleans(), drains=st.booleans())
    def savepoint(self, stops, drains):
        self.requests += 1
        self.open_requests.add(self.requests)
        self.tell(SavepointRequested(self.requests, None, stops or drains, drains))

    @rule()
    def checkpoint(self):
        self.requests += 1
        self.open_requests.add(self.requests)
        self.tell(CheckpointRequested(self.requests))

    @precondition(lambda self: self.is_running)
    @rule()
    def attempt_ends(self):
        self.is_running = False
        self.tell(AttemptEnded())
        assert set(self.answered) <= self.storing | self.over

    @precondition(lambda self: not self.is_running and not self.storing)
    @rule()
    def attempt_starts(self):
        assert not self.coordinator.is_storing
        self.finished.clear()
        self.ending.clear()
        self.is_running, self.is_failing = True, False
        self.tell(AttemptStarted())

    # --- what the coordinator may ask for ---

    def check(self, effect):
        match effect:
            case StartCheckpoint(number, kind, _, _):
                self.check_trigger(number, kind)
            case SwitchToUnaligned(number):
                assert self.settings.aligned_timeout_ms is not None
                assert self.now_ms >= self.triggered_ms[number] + self.settings.aligned_timeout_ms
            case Store(number, _, _, states, finished):
                assert self.is_running
                assert self.answered[number] == set(TASKS)
                assert set(states) == self.acknowledged[number]
                assert set(states) | finished == set(TASKS)
                assert not set(states) & finished
                self.storing.add(number)
            case NotifyCompleted(number, _):
                assert self.is_running
                assert number == FINAL_CHECKPOINT_ID or number in self.storing
                self.over.add(number)
            case NotifyAborted(number, _):
                assert self.is_running
                assert number not in self.over
            case Discard(number):
                assert number not in self.over
                self.over.add(number)
                self.answered.pop(number, None)
                self.storing.discard(number)
            case RequestDone(request_id, path, reason):
                assert (path is None) != (reason is None)
                self.open_requests.remove(request_id)
            case FailJob():
                assert not self.is_failing
                self.is_failing = True
            case Drain():
                assert self.is_running

    def check_trigger(self, number, kind):
        assert self.is_running
        assert not self.is_failing
        assert set(TASKS) != self.finished
        assert not self.ids or number == self.ids[-1] + 1
        self.ids.append(number)
        self.kinds[number] = kind
        self.triggered_ms[number] = self.now_ms
        self.answered[number] = set(self.finished)
        self.acknowledged[number] = set()

    @invariant()
    def under_way(self):
        if not hasattr(self, "settings"):
            return
        mine = {number for number in self.answered if number not in self.over}
        records = self.coordinator.history
        assert {r.checkpoint_id for r in records if r.state.value == "IN_PROGRESS"} == mine
        checkpoints = [number for number in mine if self.kinds[number] != BARRIER_SAVEPOINT]
        assert len(checkpoints) <= self.settings.max_concurrent
        if self.settings.max_concurrent == 1:  # one may record its channels: nothing else may have barriers under way
            unanswered = mine - self.storing
            assert not self.are_overtaking(unanswered), f"{sorted(unanswered)} overtake each other"
        assert self.coordinator.is_storing == bool(self.storing)
        counts = self.coordinator.reports.counts
        assert counts.triggered == len(self.ids) == counts.completed + counts.failed + counts.in_progress
        for number in mine - self.storing:
            assert self.now_ms < self.triggered_ms[number] + self.settings.timeout_ms

    def are_overtaking(self, unanswered):
        kinds = [self.kinds[number] for number in unanswered]
        return len(kinds) > 1 and any(kind != BARRIER_SAVEPOINT for kind in kinds)

    @invariant()
    def deadlines_are_ahead(self):
        if not hasattr(self, "settings"):
            return
        due_ms = self.coordinator.next_deadline_ms()
        assert due_ms is None or due_ms > self.now_ms

    def teardown(self):
        if not hasattr(self, "settings"):
            return
        self.tell(AttemptEnded())
        for number in list(self.storing):
            self.tell(Stored(number, "p"))
        assert not self.open_requests, "a request was not answered"


TestCoordinator = Coordinator.TestCase
TestCoordinator.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
