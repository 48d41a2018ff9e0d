"""How a TaskManager reacts to the JobManager's messages. Runs in the process's main thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import SubtaskId
from shmflink.errors import CheckpointError, RpcError
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.messages import (
    AttemptPrepared,
    AttemptReleased,
    CallUnderWay,
    CheckpointDeclined,
    ConnectPeers,
    DeployTasks,
    PrepareAttempt,
    ReleaseAttempt,
    Shutdown,
    SplitRequested,
    TaskEnding,
    TaskStateChanged,
)
from shmflink.rpc.states import TaskState
from shmflink.rpc.wire import Received
from shmflink.taskmanager.attempt import Attempt
from shmflink.taskmanager.attempt_messages import tell
from shmflink.taskmanager.call_watch import SlowCall
from shmflink.taskmanager.checkpoint_writer import CheckpointWriter
from shmflink.taskmanager.failures import failure_of
from shmflink.taskmanager.output import flush_output
from shmflink.taskmanager.task_states import TaskSnapshot

__all__ = ["Control", "Listener"]

_EXIT_NO_JOBMANAGER: Final = 4


class Listener:
    """Forwards the tasks' reports to the JobManager; called from the slots' threads."""

    def __init__(
        self, epoch: int, deployments: dict[SubtaskId, TaskDeployment], send: Callable[[object], None]
    ) -> None:
        self._epoch = epoch
        self._deployments = deployments
        self._send = send
        self.writer = CheckpointWriter(epoch, SYSTEM_CLOCK, send, self.write_failed, self.task_ending)

    def task_state_changed(self, subtask: SubtaskId, state: TaskState, error: BaseException | None) -> None:
        failure = None if error is None else failure_of(error, self._deployments[subtask])
        if state.is_terminal:
            flush_output()  # what the task printed appears before its end is reported
        changed = TaskStateChanged(self._epoch, subtask, state, failure)
        if state is TaskState.FINISHED:
            self.writer.after_writing(subtask, lambda: self._send(changed))
        else:
            self._send(changed)

    def split_requested(self, subtask: SubtaskId) -> None:
        self._send(SplitRequested(self._epoch, subtask))

    def call_under_way(self, call: SlowCall) -> None:
        """From the thread that watches the slots."""
        place = call.place
        self._send(
            CallUnderWay(
                self._epoch, call.subtask, place.operator, call.seconds, place.line, place.is_users, place.stack
            )
        )

    def snapshot_taken(self, snapshot: TaskSnapshot) -> None:
        self.writer.put(snapshot)

    def snapshot_given_up(self, subtask: SubtaskId, checkpoint_id: int, reason: str) -> None:
        failure = failure_of(CheckpointError(reason), self._deployments[subtask])
        self._send(CheckpointDeclined(self._epoch, subtask, checkpoint_id, failure, counts=False))

    def task_ending(self, subtask: SubtaskId) -> None:
        self._send(TaskEnding(self._epoch, subtask))

    def write_failed(self, subtask: SubtaskId, checkpoint_id: int, error: BaseException) -> None:
        """Declines a checkpoint; the task continues, unless it was the last one: then the task has failed."""
        if checkpoint_id == FINAL_CHECKPOINT_ID:
            self._send(
                TaskStateChanged(self._epoch, subtask, TaskState.FAILED, failure_of(error, self._deployments[subtask]))
            )
        else:
            self._send(
                CheckpointDeclined(self._epoch, subtask, checkpoint_id, failure_of(error, self._deployments[subtask]))
            )


class Control:
    """One TaskManager's side of the conversation."""

    def __init__(
        self,
        connection: BlockingConnection,
        slots: int,
        spin_ns: int,
        page: Any,
        before_tasks: Callable[[], None] = lambda: None,
    ) -> None:
        """`before_tasks` is called before tasks are built."""
        self._before_tasks = before_tasks
        self._connection = connection
        self._slots = slots
        self._spin_ns = spin_ns
        self._page = page
        self._attempts: dict[int, Attempt] = {}  # by epoch; one for each failover region

    def serve(self) -> None:
        """Returns when the JobManager sends Shutdown or is gone."""
        while (received := self._connection.receive()) is not None:
            if isinstance(received.message, Shutdown):
                return
            self._handle(received)

    def _send(self, message: object, fds: tuple[int, ...] = ()) -> None:
        try:
            self._connection.send(message, fds)
        except RpcError:  # without a JobManager nothing that we do matters
            os._exit(_EXIT_NO_JOBMANAGER)

    def _handle(self, received: Received) -> None:
        message = received.message
        if isinstance(message, PrepareAttempt):
            self._prepare(message)
            return
        if isinstance(message, ReleaseAttempt):
            self._release(message.epoch)
            return
        attempt = self._attempts.get(message.epoch)
        if attempt is None:
            self._refuse(received)
        else:
            self._perform(attempt, received)

    def _refuse(self, received: Received) -> None:
        """Handles a message of an attempt that could not be prepared, or has ended."""
        for fd in received.fds:
            os.close(fd)

    def _perform(self, attempt: Attempt, received: Received) -> None:
        message = received.message
        match message:
            case ConnectPeers(_, taskmanagers):
                attempt.connect(taskmanagers, received.fds)
            case DeployTasks():
                self._deploy(attempt, message)
            case _:
                tell(attempt, message)

    def _release(self, epoch: int) -> None:
        """Reports when nothing is left of the attempt, even if it could not be prepared."""
        attempt = self._attempts.pop(epoch, None)
        if attempt is not None:
            attempt.release()
            del attempt  # its memory is freed with the last reference
        self._send(AttemptReleased(epoch))

    def _prepare(self, message: PrepareAttempt) -> None:
        try:
            attempt = Attempt(message, self._slots, self._spin_ns, self._page)
        except Exception as error:
            self._send(AttemptPrepared(message.epoch, failure_of(error)))
            return
        self._attempts[message.epoch] = attempt
        self._send(AttemptPrepared(message.epoch), attempt.memory_fds)

    def _deploy(self, attempt: Attempt, message: DeployTasks) -> None:
        sys.path[:0] = [path for path in message.python_path if path not in sys.path]  # first, as in the program
        if message.working_directory:
            os.chdir(message.working_directory)  # relative paths mean the user's folder
        sys.argv = [message.main_file or ""]
        self._before_tasks()
        listener = Listener(message.epoch, {deployment.subtask: deployment for deployment in message.tasks}, self._send)
        attempt.deploy(message, listener, listener.writer, listener.call_under_way)
