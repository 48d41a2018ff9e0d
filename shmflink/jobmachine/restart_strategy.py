"""Whether and when a job restarts after a failure: Flink's strategies, without clock and randomness of their own.

A failure that only the user can mend (options, the graph, the state to start from) causes no restart. Neither does the
third time in ten minutes that the kernel kills the job for its memory: the job would take the host down again.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.config import restart_options as options
from shmflink.errors import ConfigurationError
from shmflink.rpc.messages import Failure

__all__ = [
    "OOM_KILLS_MAX",
    "OOM_KILLS_WITHIN_MS",
    "ExponentialDelay",
    "FailureRate",
    "FixedDelay",
    "NoRestart",
    "RestartStrategy",
]

OOM_KILLS_MAX: Final = 3
OOM_KILLS_WITHIN_MS: Final = 600_000
_IN_VAIN: Final = frozenset(
    {
        "CheckpointRefusedError",
        "ConfigurationError",
        "InsufficientSlotsError",
        "JobGraphError",
        "SerializationError",
        "StagedDataLostError",
        "StateMismatchError",
    }
)
_OOM_TEXT: Final = "by the kernel, out of memory"  # as `exit_text.describe_exit` says it


class RestartStrategy(ABC):
    """One per job. Times are ms of one clock that never goes back."""

    def __init__(self) -> None:
        self._first: Failure | None = None
        self._last: Failure | None = None
        self._count = 0
        self._oom_kills: deque[int] = deque(maxlen=OOM_KILLS_MAX)
        self._advice = ""

    @staticmethod
    def of(configuration: Mapping[str, str]) -> RestartStrategy:
        """As configured; exponential delay where there are periodic checkpoints and nothing is configured."""
        kind = options.RESTART_STRATEGY.read(configuration)
        if kind is None:
            has_checkpoints = CheckpointSettings.of(configuration).interval_ms is not None
            kind = "EXPONENTIAL-DELAY" if has_checkpoints else "NONE"
        match kind:
            case "FIXED-DELAY":
                return FixedDelay(
                    options.FIXED_DELAY_ATTEMPTS.read(configuration), options.FIXED_DELAY.read(configuration)
                )
            case "FAILURE-RATE":
                return FailureRate(
                    options.FAILURE_RATE_MAX.read(configuration),
                    options.FAILURE_RATE_INTERVAL.read(configuration),
                    options.FAILURE_RATE_DELAY.read(configuration),
                )
            case "EXPONENTIAL-DELAY":
                return ExponentialDelay.of(configuration)
            case _:
                return NoRestart()

    @property
    @abstractmethod
    def description(self) -> str:
        """For people, as Flink's REST API shows it."""

    @property
    def failure(self) -> Failure | None:
        """The first cause of the failures since the job was last well, and how it went on: what FAILED names."""
        first, last = self._first, self._last
        if first is None or last is None:
            return None
        text = first.message
        if self._count > 1:
            text += f"\nThe job has failed {self._count} times ({self.description})"
            is_other = (last.kind, last.message) != (first.kind, first.message)
            text += f"; at last: {last.kind}: {last.message}" if is_other else ""
        return replace(first, message=f"{text}\n{self._advice}" if self._advice else text)

    def on_failure(self, now_ms: int, failure: Failure, rng: random.Random) -> int | None:
        """After how many ms to restart; None: the job has failed for good, for `failure`."""
        if self._is_well_again(now_ms):
            self._first, self._count = None, 0
        self._first = self._first or failure
        self._last = failure
        self._count += 1
        delay_ms = self._delay(now_ms, rng)
        if failure.kind in _IN_VAIN or self._eats_memory(now_ms, failure):
            return None
        return delay_ms

    def _eats_memory(self, now_ms: int, failure: Failure) -> bool:
        if _OOM_TEXT not in failure.message:
            return False
        self._oom_kills.append(now_ms)
        kills = self._oom_kills
        if len(kills) < OOM_KILLS_MAX or now_ms - kills[0] > OOM_KILLS_WITHIN_MS:
            return False
        self._advice = (
            f"The kernel has killed TaskManagers of the job for memory {OOM_KILLS_MAX} times in "
            f"{OOM_KILLS_WITHIN_MS // 60_000} minutes, so it does not restart: lower the parallelism, raise the memory "
            "limit, or keep less state (time to live, smaller windows)"
        )
        return True

    def _is_well_again(self, now_ms: int) -> bool:
        """Whether the failures so far have nothing to do with one that happens now."""
        return False

    @abstractmethod
    def _delay(self, now_ms: int, rng: random.Random) -> int | None:
        """Counts a failure."""


class NoRestart(RestartStrategy):
    """The first failure is the last."""

    @property
    def description(self) -> str:
        return "Restart deactivated."

    def _delay(self, now_ms: int, rng: random.Random) -> int | None:
        return None


class FixedDelay(RestartStrategy):
    """So many restarts over the job's life, each after the same time."""

    def __init__(self, attempts: int, delay_ms: int) -> None:
        super().__init__()
        self._attempts = attempts
        self._delay_ms = delay_ms

    @property
    def description(self) -> str:
        return f"Restart with fixed delay ({self._delay_ms} ms). #{self._attempts} restart attempts."

    def _delay(self, now_ms: int, rng: random.Random) -> int | None:
        return self._delay_ms if self._count <= self._attempts else None


class FailureRate(RestartStrategy):
    """The job fails for good with more than `failures` failures in any `interval_ms`."""

    def __init__(self, failures: int, interval_ms: int, delay_ms: int) -> None:
        super().__init__()
        self._interval_ms = interval_ms
        self._delay_ms = delay_ms
        self._times: deque[int] = deque(maxlen=failures + 1)

    @property
    def description(self) -> str:
        most = (self._times.maxlen or 1) - 1
        return (
            f"Failure rate restart with maximum of {most} failures within interval {self._interval_ms} ms and fixed "
            f"delay {self._delay_ms} ms."
        )

    def _is_well_again(self, now_ms: int) -> bool:
        return bool(self._times) and now_ms - self._times[-1] > self._interval_ms

    def _delay(self, now_ms: int, rng: random.Random) -> int | None:
        self._times.append(now_ms)
        is_full = len(self._times) == self._times.maxlen
        return None if is_full and now_ms - self._times[0] <= self._interval_ms else self._delay_ms


class ExponentialDelay(RestartStrategy):
    """The time grows with every failure; it starts anew after a while without one."""

    def __init__(
        self,
        initial_ms: int,
        max_ms: int,
        multiplier: float,
        reset_ms: int,
        jitter: float,
        attempts: int | None = None,
    ) -> None:
        super().__init__()
        if initial_ms > max_ms:
            raise ConfigurationError(
                f"{options.INITIAL_BACKOFF.key} ({initial_ms} ms) must not be above {options.MAX_BACKOFF.key} "
                f"({max_ms} ms)"
            )
        self._initial_ms = initial_ms
        self._max_ms = max_ms
        self._multiplier = multiplier
        self._reset_ms = reset_ms
        self._jitter = jitter
        self._attempts = attempts
        self._backoff_ms = float(initial_ms)
        self._restarted_ms: int | None = None  # when the job is to run again after the last failure

    @staticmethod
    def of(configuration: Mapping[str, str]) -> ExponentialDelay:
        """As configured; ConfigurationError where the first time is longer than the longest."""
        return ExponentialDelay(
            options.INITIAL_BACKOFF.read(configuration),
            options.MAX_BACKOFF.read(configuration),
            options.BACKOFF_MULTIPLIER.read(configuration),
            options.RESET_BACKOFF_THRESHOLD.read(configuration),
            options.JITTER_FACTOR.read(configuration),
            options.ATTEMPTS_BEFORE_RESET.read(configuration),
        )

    @property
    def description(self) -> str:
        return (
            f"Restart with exponential delay: starting at {self._initial_ms} ms, increasing by {self._multiplier}, "
            f"with maximum {self._max_ms} ms. Delay resets after {self._reset_ms} ms with jitter {self._jitter}."
        )

    def _is_well_again(self, now_ms: int) -> bool:
        return self._restarted_ms is not None and now_ms - self._restarted_ms >= self._reset_ms

    def _delay(self, now_ms: int, rng: random.Random) -> int | None:
        if self._count == 1:
            self._backoff_ms = float(self._initial_ms)
        if self._attempts is not None and self._count > self._attempts:
            return None
        backoff_ms = self._backoff_ms
        self._backoff_ms = min(backoff_ms * self._multiplier, float(self._max_ms))
        spread = backoff_ms * self._jitter
        delay_ms = min(round(backoff_ms + rng.uniform(-spread, spread)), self._max_ms)
        self._restarted_ms = now_ms + delay_ms
        return delay_ms
