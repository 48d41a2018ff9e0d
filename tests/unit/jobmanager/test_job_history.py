"""When a job's states, tasks and failures were: from the events and effects of its machine."""

from __future__ import annotations

from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.graph.execution_graph import ExecutionGraph, TaskDeployment
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.events import Event, TaskReported
from shmflink.jobmanager.job_history import JobHistory
from shmflink.rpc.messages import Failure, TaskSummary
from shmflink.rpc.states import JobState, TaskState

TASK = SubtaskId(0, 0)
BOOM = Failure("ValueError", "boom")


class Clock:
    ms = 1000

    def processing_time_ms(self) -> int:
        return self.ms

    def monotonic_ns(self) -> int:
        return self.ms * 1_000_000


def begin(epoch: int, restore_path: str = "") -> ask.BeginAttempt:
    task = TaskDeployment(TASK, 0, epoch, "orders", 1, 128, 0, 0, False, (), (), ())
    return ask.BeginAttempt(ExecutionGraph(0, epoch, 1, 1, (task,)), (TaskManagerId("local", 0, epoch),), restore_path)


def summary(state: TaskState) -> TaskSummary:
    return TaskSummary(0, "orders", 0, state, 0, 0, 0, 0, 0, 0, 0)


def test_attempts_are_counted_and_their_times_are_those_of_the_last_one() -> None:
    clock, heard = Clock(), list[Event]()
    history = JobHistory(clock)
    feed = history.listening(heard.append)
    for epoch in (4, 5):
        history.performed(begin(epoch))
        clock.ms += 10
        history.performed(ask.Deploy(epoch))
        clock.ms += 10
        feed(TaskReported(epoch, TASK, TaskState.RUNNING))
    feed(TaskReported(4, TASK, TaskState.CANCELED))  # late, of the attempt before
    times = history.tasks[TASK]
    assert (times.number, times.taskmanager) == (1, "local-0-5")
    assert times.entered == {TaskState.CREATED: 1020, TaskState.DEPLOYING: 1030, TaskState.RUNNING: 1040}
    assert len(heard) == 3


def test_a_task_that_ends_without_a_word_ends_with_its_attempt() -> None:
    clock = Clock()
    history = JobHistory(clock)
    history.performed(begin(4))
    clock.ms += 50
    history.over([summary(TaskState.FAILED)])
    clock.ms += 50
    history.over([summary(TaskState.FAILED)])
    assert history.tasks[TASK].entered[TaskState.FAILED] == 1050


def test_a_failure_is_that_of_the_task_that_told_it() -> None:
    clock = Clock()
    history = JobHistory(clock)
    feed = history.listening(lambda event: None)
    history.performed(begin(4))
    history.performed(begin(5))
    feed(TaskReported(5, TASK, TaskState.FAILED, BOOM))
    clock.ms = 2000
    history.performed(ask.StateEntered(JobState.RESTARTING, BOOM))
    history.performed(ask.StateEntered(JobState.RESTARTING, Failure("TaskManagerLostError", "it died")))
    newest, oldest = history.failures
    assert (oldest.failure, oldest.at_ms, oldest.attempt, oldest.taskmanager) == (BOOM, 2000, 1, "local-0-5")
    assert (newest.failure.kind, newest.attempt, newest.taskmanager) == ("TaskManagerLostError", 0, "")


def test_only_the_latest_failures_are_kept() -> None:
    history = JobHistory(Clock())
    for number in range(40):
        history.performed(ask.StateEntered(JobState.RESTARTING, Failure("ValueError", str(number))))
    assert [one.failure.message for one in history.failures] == [str(number) for number in range(39, 23, -1)]


def test_what_an_attempt_resumes_from_is_known() -> None:
    history = JobHistory(Clock())
    history.performed(begin(4))
    assert history.restore is None
    history.performed(begin(5, "/checkpoints/chk-7"))
    assert history.restore == ("/checkpoints/chk-7", 1000)
