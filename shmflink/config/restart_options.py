"""Options of the restart strategies; part of `options.OPTIONS`."""

from __future__ import annotations

from typing import Final

from shmflink.config import kinds
from shmflink.config.option import Option

__all__ = [
    "ATTEMPTS_BEFORE_RESET",
    "BACKOFF_MULTIPLIER",
    "FAILURE_RATE_DELAY",
    "FAILURE_RATE_INTERVAL",
    "FAILURE_RATE_MAX",
    "FIXED_DELAY",
    "FIXED_DELAY_ATTEMPTS",
    "INITIAL_BACKOFF",
    "JITTER_FACTOR",
    "MAX_BACKOFF",
    "RESET_BACKOFF_THRESHOLD",
    "RESTART_OPTIONS",
    "RESTART_STRATEGY",
]

RESTART_STRATEGY: Final = Option(
    "restart-strategy.type",
    kinds.STRING,
    None,
    "How the job reacts to a failure: none, fixed-delay, failure-rate or exponential-delay. Default: exponential-delay "
    "with checkpointing, otherwise none.",
    choices=("NONE", "OFF", "DISABLE", "FIXED-DELAY", "FAILURE-RATE", "EXPONENTIAL-DELAY"),
    old_keys=("restart-strategy",),
)
FIXED_DELAY_ATTEMPTS: Final = Option(
    "restart-strategy.fixed-delay.attempts",
    kinds.INT,
    1,
    "How often the job restarts before it fails for good.",
    minimum=0,
    maximum=2**31 - 1,
)
FIXED_DELAY: Final = Option(
    "restart-strategy.fixed-delay.delay",
    kinds.DURATION,
    1000,
    "Time between a failure and the restart.",
)
FAILURE_RATE_MAX: Final = Option(
    "restart-strategy.failure-rate.max-failures-per-interval",
    kinds.INT,
    1,
    "The job fails for good after more failures than this within the interval below.",
    minimum=1,
    maximum=100_000,
)
FAILURE_RATE_INTERVAL: Final = Option(
    "restart-strategy.failure-rate.failure-rate-interval",
    kinds.DURATION,
    60_000,
    "The interval over which failures are counted.",
    minimum=1,
)
FAILURE_RATE_DELAY: Final = Option(
    "restart-strategy.failure-rate.delay",
    kinds.DURATION,
    1000,
    "Time between a failure and the restart.",
)
INITIAL_BACKOFF: Final = Option(
    "restart-strategy.exponential-delay.initial-backoff",
    kinds.DURATION,
    100,
    "Time between the first failure and the restart (Flink: 1 s; on one host a restart is cheap).",
    minimum=1,
)
MAX_BACKOFF: Final = Option(
    "restart-strategy.exponential-delay.max-backoff",
    kinds.DURATION,
    30_000,
    "The longest time between a failure and the restart (Flink: 1 min).",
    minimum=1,
)
BACKOFF_MULTIPLIER: Final = Option(
    "restart-strategy.exponential-delay.backoff-multiplier",
    kinds.FLOAT,
    2.0,
    "Factor by which the time grows with every failure (Flink: 1.5).",
    minimum=1,
)
RESET_BACKOFF_THRESHOLD: Final = Option(
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    kinds.DURATION,
    600_000,
    "After this long without a failure, the time starts again at the initial backoff (Flink: 1 h).",
    minimum=1,
)
JITTER_FACTOR: Final = Option(
    "restart-strategy.exponential-delay.jitter-factor",
    kinds.FLOAT,
    0.1,
    "Fraction of the time that is added or subtracted at random.",
    minimum=0,
    maximum=1,
)
ATTEMPTS_BEFORE_RESET: Final = Option(
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
    kinds.INT,
    None,
    "How often the job restarts before it fails for good; the count resets with the time. Default: no limit.",
    minimum=1,
)

RESTART_OPTIONS: Final[tuple[Option[object], ...]] = (
    RESTART_STRATEGY,
    FIXED_DELAY_ATTEMPTS,
    FIXED_DELAY,
    FAILURE_RATE_MAX,
    FAILURE_RATE_INTERVAL,
    FAILURE_RATE_DELAY,
    INITIAL_BACKOFF,
    MAX_BACKOFF,
    BACKOFF_MULTIPLIER,
    RESET_BACKOFF_THRESHOLD,
    JITTER_FACTOR,
    ATTEMPTS_BEFORE_RESET,
)
