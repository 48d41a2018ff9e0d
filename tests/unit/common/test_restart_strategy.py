"""PyFlink's objects for restart strategies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shmflink.common import RestartStrategies
from shmflink.errors import ConfigurationError
from shmflink.jobmachine.restart_strategy import RestartStrategy


def test_what_was_given_comes_back():
    fixed = RestartStrategies.fixed_delay_restart(3, timedelta(seconds=2))
    assert (fixed.get_restart_attempts(), fixed.get_delay_between_attempts_interval()) == (3, timedelta(seconds=2))
    rate = RestartStrategies.failure_rate_restart(2, 60_000, 500)
    assert (rate.get_max_failure_rate(), rate.get_failure_interval()) == (2, timedelta(minutes=1))
    assert rate.get_delay_between_attempts_interval() == timedelta(milliseconds=500)
    assert rate == RestartStrategies.failure_rate_restart(2, 60_000, 500)
    assert RestartStrategies.no_restart() == RestartStrategies.no_restart()
    assert RestartStrategies.no_restart() != RestartStrategies.fall_back_restart()


@pytest.mark.parametrize(
    "strategy",
    [
        RestartStrategies.no_restart(),
        RestartStrategies.fixed_delay_restart(3, 10),
        RestartStrategies.failure_rate_restart(2, 60_000, timedelta(seconds=1)),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_the_job_does_what_the_object_describes(strategy):
    configured = RestartStrategy.of(strategy.to_configuration().to_dict())
    assert configured.description == strategy.get_description()


def test_wrong_values():
    assert RestartStrategies.fall_back_restart().to_configuration().to_dict() == {}
    assert "default" in RestartStrategies.fall_back_restart().get_description()
    with pytest.raises(TypeError, match=r"a number of ms or a datetime\.timedelta, got '1 s'"):
        RestartStrategies.fixed_delay_restart(1, "1 s")
    with pytest.raises(ConfigurationError, match="below the minimum 0"):
        RestartStrategies.fixed_delay_restart(-1, 5).to_configuration()
