"""What follows from the failure of a region: a restart, perhaps from an older checkpoint, or the end of the job."""

from __future__ import annotations

import random
from collections import deque

from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.checkpoints import JobCheckpoints
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pointers import Pointers
from shmflink.jobmachine.regions import Regions
from shmflink.jobmachine.restart_strategy import RestartStrategy
from shmflink.jobmachine.scheduler import Scheduler
from shmflink.rpc.messages import Failure

__all__ = ["Failover"]


class Failover:
    """One per job. Jitter comes from `rng`."""

    def __init__(
        self,
        strategy: RestartStrategy,
        regions: Regions,
        scheduler: Scheduler,
        checkpoints: JobCheckpoints,
        pointers: Pointers,
        rng: random.Random,
        outlet: Outlet,
    ) -> None:
        self.restarts = 0
        self.restarting: Failure | None = None
        """Why the job restarts; the reader sets it to None."""
        self._failures: deque[Failure] = deque()  # of regions, first cause first, that nothing has followed from yet
        self._strategy = strategy
        self._regions = regions
        self._scheduler = scheduler
        self._checkpoints = checkpoints
        self._pointers = pointers
        self._rng = rng
        self._outlet = outlet
        self._restarts_for: Failure | None = None

    def postpone(self, failure: Failure) -> None:
        """A region failed. The restart may have to wait."""
        self._failures.append(failure)

    def stop(self) -> None:
        """Nothing is restarted any longer."""
        self._failures.clear()

    @property
    def _may_proceed(self) -> bool:
        """The next attempts may have to resume from what is being stored."""
        return not self._checkpoints.is_storing and not self._scheduler.is_preparing

    @property
    def has_failures(self) -> bool:
        """A failure waits for what follows from it."""
        return bool(self._failures)

    @property
    def is_due(self) -> bool:
        """`proceed` has something to do."""
        return bool(self._failures) and self._may_proceed

    @property
    def is_idle(self) -> bool:
        """No failure waits, and the next attempts may begin."""
        return not self._failures and self._may_proceed

    def proceed(self) -> Failure | None:
        """Restarts after the oldest failure. Returns the failure that the whole job fails with if it may not."""
        failure = self._failures.popleft()
        if not self._scheduler.is_idle and failure == self._restarts_for:
            return None  # several regions failed for the same reason: they restart together
        if failure.kind == "CheckpointCorruptedError" and self._scheduler.restored is not None:
            return self._leave_damaged(self._scheduler.restored.directory, failure)
        delay_ms = self._strategy.on_failure(self._outlet.now_ms, failure, self._rng)
        if delay_ms is None:
            return self._strategy.failure or failure
        self._restart_in(delay_ms, failure)
        return None

    def _leave_damaged(self, directory: str, failure: Failure) -> Failure | None:
        """Restarts from another checkpoint if there is one."""
        if directory in self._pointers.directories:
            self._pointers.leave_out(directory, failure.message)
        if not self._pointers.directories:
            return failure
        self._pointers.keep()
        self._restart_in(0, failure)
        return None

    def restart_whole(self) -> None:
        """A region failed after a drain, or after the savepoint that stops the job. The others end early, so they
        restart with it (Flink: global failover).
        """
        causes = [attempt.failure for attempt in self._regions.attempts if attempt.failure is not None]
        cause = next(iter([*self._failures, *causes]), None)
        self._regions.fail(cause or Failure("CheckpointError", "a part of the job failed while it was being stopped"))
        self._regions.revive()

    def _restart_in(self, delay_ms: int, failure: Failure) -> None:
        if self._scheduler.is_idle:
            self.restarts += 1
            self.restarting = failure
        self._restarts_for = failure
        self._scheduler.restart_in(delay_ms)
        cause = failure.message.partition("\n")[0]
        self._outlet.ask(ask.Log(f"the job restarts in {delay_ms} ms: {cause}", "DEBUG"))
