"""A slot: one thread that runs its tasks cooperatively and sleeps on its doorbell when none is runnable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from shmflink.connectors.base import Split
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.ids import SubtaskId
from shmflink.network.channel import Doorbell
from shmflink.taskmanager.task import Task

__all__ = ["SLEEP_NS_MAX", "Slot"]

SLEEP_NS_MAX: Final = 500_000_000  # so that idle time appears in the counters of an idle job


class Slot:
    """Runs tasks in turn: each sweep gives every runnable task one quantum, downstream tasks first.

    `put`, `wake`, `add_task`, `assign_split`, `cancel` and `shutdown` may be called from any thread;
    everything else belongs to the thread in `run`. A failing task reports FAILED and ends; its siblings continue
    until `cancel`.
    """

    def __init__(self, index: int, doorbell: Doorbell, clock: Clock = SYSTEM_CLOCK, spin_ns: int = 0) -> None:
        """`spin_ns`: how long to look for work before sleeping, because waking a sleeper costs 20
        microseconds.
        """
        self.index = index
        self._doorbell = doorbell
        self._clock = clock
        self._spin_ns = spin_ns
        self._mail: deque[Callable[[], Any]] = deque()
        self._tasks: list[Task] = []
        self.turn = 0
        """Counts the actions given to the slot's thread."""
        self.at_work: Task | None = None
        """The task whose code may be running now; read from other threads."""
        self._had_tasks = False
        self._is_shut_down = False

    # --- from any thread ---

    def put(self, action: Callable[[], Any]) -> None:
        """Schedules `action()` in the slot's thread."""
        self._mail.append(action)
        self._doorbell.ring()

    def wake(self) -> None:
        """Makes the slot check again what is runnable."""
        self.put(self._wake_tasks)

    def add_task(self, task: Task) -> None:
        """Opens the task and runs it."""
        self.put(lambda: self._open(task))

    def assign_split(self, subtask: SubtaskId, split: Split | None, *, exhausted: bool) -> None:
        """The answer to a split request; dropped if the task has ended in the meantime."""
        self.put(lambda: self._assign(subtask, split, exhausted))

    def align(self, subtask: SubtaskId, limit_ms: int) -> None:
        """How far a source may run ahead; dropped if its task has ended in the meantime."""
        self.put(lambda: self._align(subtask, limit_ms))

    def tell(self, action: Callable[[Task], None]) -> None:
        """Calls `action` for each task that has not ended by then."""
        self.put(lambda: self._tell(action))

    def cancel(self) -> None:
        """Cancels all tasks: each stops after its current quantum and reports CANCELED."""
        self.put(self._cancel_all)

    def shutdown(self) -> None:
        """Cancels running tasks and ends `run`, even if the slot never had a task."""
        self.put(self._shut_down)

    # --- the slot's thread ---

    def run(self) -> None:
        """Runs until all added tasks are terminal, or until `shutdown`."""
        while not self.is_done:
            if not self.run_once():
                self.sleep()

    @property
    def is_done(self) -> bool:
        """True when nothing is left to run."""
        return not self._mail and not self._tasks and (self._had_tasks or self._is_shut_down)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that have not ended, in the order of their turns."""
        return tuple(self._tasks)

    def run_once(self) -> bool:
        """The mailbox, then one sweep. False when there was nothing to do."""
        has_run = bool(self._mail)
        while self._mail:
            self._mail.popleft()()
        has_ended = False
        for task in self._tasks:
            if task.is_runnable():
                self.turn += 1
                self.at_work = task
                task.run_quantum()
                self.at_work = None
                has_run = True
            has_ended |= task.is_terminal
        if has_ended:
            self._tasks = [task for task in self._tasks if not task.is_terminal]
        return has_run or has_ended

    def flush(self) -> None:
        """Ships open segments: there is nothing to fill them with."""
        for task in self._tasks:
            task.outputs.flush()

    def next_deadline_ns(self) -> int:
        """The earliest buffer timeout; -1 = none."""
        deadlines = [due for task in self._tasks if (due := task.next_deadline_ns()) >= 0]
        return min(deadlines) if deadlines else -1

    def sleep(self) -> None:
        """Waits until the doorbell rings or a timeout is due; returns at once when something is runnable."""
        self.flush()
        token = self._doorbell.prepare()
        # Check again after `prepare`: a task that became runnable before `prepare` rang when nobody was waiting.
        if self._mail or self.is_done or any(task.is_runnable() for task in self._tasks):
            return
        for task in self._tasks:
            task.flush_due()
        self._doorbell.wait(token, self._timeout_ns(), self._spin_ns)
        for task in self._tasks:
            task.flush_due()

    def _timeout_ns(self) -> int:
        if not self._tasks:
            return -1
        deadline = self.next_deadline_ns()
        if deadline < 0:
            return SLEEP_NS_MAX
        return min(max(deadline - self._clock.monotonic_ns(), 0), SLEEP_NS_MAX)

    def _open(self, task: Task) -> None:
        self._had_tasks = True
        if self._is_shut_down:
            task.cancel()
            return
        self._tasks.append(task)
        # Downstream first: in-flight elements leave before more come in.
        self._tasks.sort(key=lambda t: -t.deployment.subtask.vertex)
        self._at_work(task, task.open)

    def _at_work(self, task: Task, action: Callable[[], None]) -> None:
        self.turn += 1
        self.at_work = task
        action()
        self.at_work = None

    def _assign(self, subtask: SubtaskId, split: Split | None, exhausted: bool) -> None:
        for task in self._tasks:
            if task.deployment.subtask == subtask:
                task.assign_split(split, exhausted=exhausted)

    def _align(self, subtask: SubtaskId, limit_ms: int) -> None:
        for task in self._tasks:
            if task.deployment.subtask == subtask:
                task.align(limit_ms)

    def _tell(self, action: Callable[[Task], None]) -> None:
        for task in self._tasks:
            self._at_work(task, lambda task=task: action(task))  # type: ignore[misc]

    def _wake_tasks(self) -> None:
        for task in self._tasks:
            task.wake()

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _shut_down(self) -> None:
        self._is_shut_down = True
        self._cancel_all()
