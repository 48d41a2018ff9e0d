"""A sink's operators taken through checkpoints, crashes and restarts by hand, as a task and a JobManager would."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from oracle.mailboxes import WaitableMailbox

from shmflink.checkpoint.commit_notes import note_commit, noted_commits
from shmflink.connectors.base import Sink
from shmflink.core.batch import Batch
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.elements import BARRIER_ALIGNED, BARRIER_SAVEPOINT, Barrier
from shmflink.operators.base import OperatorContext
from shmflink.state.operator_state import OperatorStatePart, redistributed
from shmflink.state.snapshots import NOTHING_RESTORED, RestoredState
from shmflink.taskmanager.sink import SinkOperator

JOB_ID = "a" * 32
WATCHDOG_SECONDS = 30


class Attempt:
    """All subtasks of a sink in one attempt of a job. What it hands over travels as a pickle, as in a checkpoint."""

    def __init__(
        self,
        sink: Sink,
        parallelism: int = 1,
        *,
        epoch: int = 1,
        restored: Checkpoint | None = None,
        job_id: str = JOB_ID,
        configuration: dict[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        subtasks: Sequence[int] | None = None,
        operator_id: str = "b" * 32,
        ha_identity: str = "",
        notes: str = "",
    ) -> None:
        """`subtasks`: those that are (re)started; all. `notes`: the folder in which every checkpoint's would be."""
        self.mailbox = WaitableMailbox()
        self._notes = notes
        self.contexts = [
            OperatorContext(
                operator_name="sink",
                operator_id=operator_id,
                task_name="sink",
                subtask_index=subtask,
                parallelism=parallelism,
                max_parallelism=128,
                attempt=epoch - 1,
                is_batch=False,
                configuration={"execution.checkpointing.interval": "1 s"} if configuration is None else configuration,
                mailbox=self.mailbox,
                clock=clock,
                restored=NOTHING_RESTORED
                if restored is None
                else self._of(restored, operator_id, subtask, parallelism),
                job_id=job_id,
                ha_identity=ha_identity,
                epoch=epoch,
                note_commit=partial(self._note, operator_id, subtask),
            )
            for subtask in (range(parallelism) if subtasks is None else subtasks)
        ]
        self.operators = [SinkOperator(pickle.loads(pickle.dumps(sink))) for _ in self.contexts]
        for operator, context in zip(self.operators, self.contexts, strict=True):
            operator.open(context)

    def _of(self, restored: Checkpoint, operator_id: str, subtask: int, parallelism: int) -> RestoredState:
        directory = os.path.join(self._notes, f"chk-{restored.checkpoint_id}") if self._notes else ""
        return replace(restored.of(subtask, parallelism), committed=noted_commits(directory, operator_id))

    def _note(self, operator_id: str, subtask: int, checkpoint_id: int) -> None:
        if self._notes:
            note_commit(os.path.join(self._notes, f"chk-{checkpoint_id}"), operator_id, subtask)

    def write(self, *batches: Batch, subtask: int = 0) -> None:
        operator = self.operators[subtask]
        for batch in batches:
            self.wait(lambda: operator.is_available)
            list(operator.process(batch))

    def checkpoint(self, checkpoint_id: int, *, is_savepoint: bool = False) -> Checkpoint:
        """Barrier, and everything on disk; complete only when `complete` is called."""
        barrier = Barrier(checkpoint_id, 0, BARRIER_SAVEPOINT if is_savepoint else BARRIER_ALIGNED)
        snapshots = [operator.snapshot_state(barrier) for operator in self.operators]
        return Checkpoint(
            checkpoint_id, [{**s.operator_state, **(s.pending() if s.pending else {})} for s in snapshots]
        )

    def complete(self, checkpoint_id: int) -> None:
        """All have committed when it returns."""
        for operator in self.operators:
            operator.checkpoint_completed(checkpoint_id)
        self.settle()

    def settle(self) -> None:
        """Until nothing is being committed."""
        self.wait(lambda: not any(operator._commits.is_busy for operator in self.operators if operator._commits))

    def finish(self) -> None:
        for operator in self.operators:
            list(operator.finish())

    def close(self) -> None:
        for operator in self.operators:
            operator.close()

    def wait(self, condition: Any) -> None:
        def settled() -> bool:
            for operator in self.operators:
                operator.raise_failure()
            return bool(condition())

        self.mailbox.wait_until(settled)


class Checkpoint:
    """What the subtasks handed over; on disk."""

    def __init__(self, checkpoint_id: int, states: Sequence[dict[str, OperatorStatePart]]) -> None:
        self.checkpoint_id = checkpoint_id
        self._states = pickle.dumps(states)

    def of(self, subtask: int, parallelism: int) -> RestoredState:
        parts = redistributed(pickle.loads(self._states), parallelism)[subtask]
        return RestoredState(checkpoint_id=self.checkpoint_id, operator_state=parts)

    def elements(self, name: str) -> list[Any]:
        """Of one state, of all subtasks."""
        return [e.element for state in pickle.loads(self._states) if name in state for e in state[name].elements]


class Poller:
    """A reader that looks all the time, in a thread: `look` gives what it sees, and raises where that is wrong."""

    def __init__(self, look: Any) -> None:
        self._look = look
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self.looks = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(WATCHDOG_SECONDS)
        if self._error is not None:
            raise self._error
        assert self.looks

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._look()
                self.looks += 1
        except BaseException as error:
            self._error = error
