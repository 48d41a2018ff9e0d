"""When a job restarts, and which cause it names when it does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.errors import ConfigurationError
from shmflink.jobmachine.restart_strategy import ExponentialDelay, FailureRate, FixedDelay, NoRestart, RestartStrategy
from shmflink.jobmanager.exit_text import describe_exit
from shmflink.rpc.messages import Failure

FIRST = Failure("UserFunctionError", "ValueError: 7", operator="map", subtask=3)
OTHER = Failure("TaskManagerLostError", "TaskManager 1 is gone")
RNG = random.Random(1)
NO_JITTER = {"restart-strategy.exponential-delay.jitter-factor": "0"}


def delays(strategy, *times_ms, failure=FIRST):
    return [strategy.on_failure(time_ms, failure, RNG) for time_ms in times_ms]


@pytest.mark.parametrize(
    ("configuration", "kind"),
    [
        ({}, NoRestart),
        ({"execution.checkpointing.interval": "1 s"}, ExponentialDelay),
        ({"execution.checkpointing.interval": "1 s", "execution.runtime-mode": "BATCH"}, NoRestart),
        ({"execution.checkpointing.interval": "1 s", "restart-strategy.type": "none"}, NoRestart),
        ({"restart-strategy": "fixed-delay"}, FixedDelay),
        ({"restart-strategy.type": "failure-rate"}, FailureRate),
        ({"restart-strategy.type": "exponential-delay"}, ExponentialDelay),
    ],
)
def test_as_configured(configuration, kind):
    strategy = RestartStrategy.of(configuration)
    assert type(strategy) is kind
    assert strategy.description


def test_none():
    strategy = RestartStrategy.of({})
    assert delays(strategy, 0) == [None]
    assert strategy.failure == FIRST


def test_fixed_delay():
    prefix = "restart-strategy.fixed-delay."
    strategy = RestartStrategy.of(
        {"restart-strategy.type": "fixed-delay", f"{prefix}attempts": "2", f"{prefix}delay": "50 ms"}
    )
    assert delays(strategy, 0, 10**6, 10**9) == [50, 50, None]


def test_failure_rate():
    prefix = "restart-strategy.failure-rate."
    strategy = RestartStrategy.of(
        {
            "restart-strategy.type": "failure-rate",
            f"{prefix}max-failures-per-interval": "2",
            f"{prefix}failure-rate-interval": "1 s",
            f"{prefix}delay": "5 ms",
        }
    )
    assert delays(strategy, 0, 600, 1001, 1600) == [5, 5, 5, None]


def test_exponential_delay_grows_to_its_limit_and_starts_anew():
    strategy = RestartStrategy.of({"execution.checkpointing.interval": "1 s", **NO_JITTER})
    assert delays(strategy, *range(10)) == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]
    assert delays(strategy, 10 + 30_000 + 599_998) == [30_000]
    assert delays(strategy, 10**7) == [100]


def test_attempts_of_the_exponential_delay():
    key = "restart-strategy.exponential-delay.attempts-before-reset-backoff"
    strategy = RestartStrategy.of({"restart-strategy.type": "exponential-delay", key: "2", **NO_JITTER})
    assert delays(strategy, 0, 1, 10**7, 10**7 + 1, 10**7 + 2) == [100, 200, 100, 200, None]


@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 1000), st.floats(1, 10))
@settings(max_examples=50, deadline=None)
def test_jitter_keeps_its_bounds(seed, jitter, initial_ms, multiplier):
    strategy = ExponentialDelay(initial_ms, 1000, multiplier, 10**6, jitter)
    backoff_ms = float(initial_ms)
    rng = random.Random(seed)
    for now_ms in range(8):
        delay_ms = strategy.on_failure(now_ms, FIRST, rng)
        assert backoff_ms * (1 - jitter) - 1 <= delay_ms <= min(1000, backoff_ms * (1 + jitter) + 1)
        backoff_ms = min(1000.0, backoff_ms * multiplier)


def test_times_that_contradict_each_other():
    with pytest.raises(ConfigurationError, match=r"initial-backoff \(60000 ms\) must not be above"):
        RestartStrategy.of(
            {
                "restart-strategy.type": "exponential-delay",
                "restart-strategy.exponential-delay.initial-backoff": "1 min",
            }
        )


def test_failed_names_the_first_cause():
    """[P13] Not the last one, which often is a consequence."""
    strategy = FixedDelay(1, 0)
    strategy.on_failure(0, FIRST, RNG)
    assert strategy.on_failure(1, OTHER, RNG) is None
    failure = strategy.failure
    assert (failure.kind, failure.operator, failure.subtask) == ("UserFunctionError", "map", 3)
    assert failure.message.startswith("ValueError: 7\nThe job has failed 2 times")
    assert "at last: TaskManagerLostError: TaskManager 1 is gone" in failure.message


def test_what_was_long_ago_is_not_the_cause():
    strategy = ExponentialDelay(10, 10, 1, reset_ms=1000, jitter=0, attempts=1)
    strategy.on_failure(0, FIRST, RNG)
    strategy.on_failure(5000, OTHER, RNG)
    assert strategy.failure == OTHER


@pytest.mark.parametrize(
    "kind", ["ConfigurationError", "StateMismatchError", "StagedDataLostError", "CheckpointRefusedError"]
)
def test_what_the_user_has_to_change_is_not_tried_again(kind):
    strategy = RestartStrategy.of({"execution.checkpointing.interval": "1 s"})
    assert delays(strategy, 0, failure=Failure(kind, "no such folder")) == [None]


def test_three_kills_for_memory_in_ten_minutes_are_enough():
    """[P4] And the message says what to do."""
    killed = Failure("TaskManagerLostError", f"TaskManager 0 (pid 7) {describe_exit(9, oom_killed=True)}")
    strategy = RestartStrategy.of({"execution.checkpointing.interval": "1 s", **NO_JITTER})
    assert None not in delays(strategy, 0, 500_000, 700_000, failure=killed), "three, but over a longer time"
    assert delays(strategy, 1_000_000, failure=killed) == [None]
    assert "lower the parallelism" in strategy.failure.message
    strategy = RestartStrategy.of({"execution.checkpointing.interval": "1 s"})
    assert None not in delays(strategy, 0, 1, 2, 3, failure=OTHER)
