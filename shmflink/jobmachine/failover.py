"""What follows from a region's failure: a restart, perhaps from an older checkpoint, or the end of the job."""

from __future__ import annotations

import random
from collections import deque

from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.checkpoints import JobCheckpoints
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.restart_strategy import RestartStrategy
from shmflink.jobmachine.scheduler import Scheduler, SchedulerState
from shmflink.rpc.messages import Failure

__all__ = ["Failover"]


class Failover:
    """One per job. Jitter comes from `rng`."""

    def __init__(
        self,
        strategy: RestartStrategy,
        scheduler: Scheduler,
        checkpoints: JobCheckpoints,
        rng: random.Random,
        outlet: Outlet,
    ) -> None:
        self.restarts = 0
        self.restarting: Failure | None = None
        """Why the job restarts; whoever reads it sets it to None."""
        self.failures: deque[Failure] = deque()
        """What regions failed for, first cause first, and nothing followed from yet."""
        self._strategy = strategy
        self._scheduler = scheduler
        self._checkpoints = checkpoints
        self._rng = rng
        self._outlet = outlet
        self._restarts_for: Failure | None = None

    def postpone(self, failure: Failure) -> None:
        """A region failed. What follows from it may have to wait."""
        self.failures.append(failure)

    def stop(self) -> None:
        """Nothing is restarted any longer."""
        self.failures.clear()

    @property
    def _may_go_on(self) -> bool:
        """What is being stored may be what the next attempts resume from."""
        return not self._checkpoints.is_storing and self._scheduler.state is not SchedulerState.PREPARING

    @property
    def is_due(self) -> bool:
        """Something may follow now."""
        return bool(self.failures) and self._may_go_on

    @property
    def is_idle(self) -> bool:
        """No failure waits, and the next attempts may begin."""
        return not self.failures and self._may_go_on

    def go_on(self) -> Failure | None:
        """After the oldest failure: a restart, or the returned failure is the job's."""
        failure = self.failures.popleft()
        if self._scheduler.state is not SchedulerState.NOTHING and failure == self._restarts_for:
            return None  # several regions failed for the same reason: they restart together
        if failure.kind == "CheckpointCorruptedError" and self._scheduler.restored is not None:
            return self._leave_damaged(self._scheduler.restored.directory, failure)
        delay_ms = self._strategy.on_failure(self._outlet.now_ms, failure, self._rng)
        if delay_ms is None:
            return self._strategy.failure or failure
        self._restart_in(delay_ms, failure)
        return None

    def _leave_damaged(self, directory: str, failure: Failure) -> Failure | None:
        """Restarts from another checkpoint, where there is one."""
        points = self._checkpoints.points
        if directory in points.directories:
            self._checkpoints.leave_out(directory, failure.message)
        if not points.directories:
            return failure
        self._checkpoints.keep_pointers()
        self._restart_in(0, failure)
        return None

    def _restart_in(self, delay_ms: int, failure: Failure) -> None:
        if self._scheduler.state is SchedulerState.NOTHING:
            self.restarts += 1
            self.restarting = failure
        self._restarts_for = failure
        self._scheduler.restart_in(delay_ms)
        cause = failure.message.partition("\n")[0]
        self._outlet.ask(ask.Log(f"the job restarts in {delay_ms} ms: {cause}", "DEBUG"))
