"""What happens after a failure (PyFlink: `pyflink.common.restart_strategy`).

As in PyFlink 2, no environment takes these objects: the options `restart-strategy.*` decide. `to_configuration` gives
them.
"""

from __future__ import annotations

from datetime import timedelta

from shmflink.config import restart_options as options
from shmflink.config.configuration import Configuration
from shmflink.config.option import Option
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]


@dataclass(frozen=True)
class RestartStrategyConfiguration:
    """One strategy with its settings; equal where these are."""

    def get_description(self) -> str:
        """For people."""
        return "Cluster level default restart strategy"

    def to_configuration(self) -> Configuration:
        """*shmflink only.* The options that have the same meaning."""
        return Configuration()


def _ms(delay: int | timedelta) -> int:
    if isinstance(delay, timedelta):
        return round(delay.total_seconds() * 1000)
    if isinstance(delay, bool) or not isinstance(delay, int):
        raise TypeError(f"a restart strategy takes a number of ms or a datetime.timedelta, got {delay!r}")
    return delay


def _as_timedelta(delay: int | timedelta) -> timedelta:
    return timedelta(milliseconds=_ms(delay))


def _configured(*pairs: tuple[Option[object], object]) -> Configuration:
    configuration = Configuration()
    for option, value in pairs:
        text = option.write(value)
        option.parse(text)  # raises the error that explains the value
        configuration.set_string(option.key, text)
    return configuration


class RestartStrategies:
    """Makes strategies. Delays are ms or `datetime.timedelta`."""

    @dataclass(frozen=True)
    class NoRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The first failure fails the job."""

        def get_description(self) -> str:
            return "Restart deactivated."

        def to_configuration(self) -> Configuration:
            return _configured((options.RESTART_STRATEGY, "none"))

    @dataclass(frozen=True)
    class FallbackRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The strategy that the cluster's configuration sets."""

    @dataclass(frozen=True)
    class FixedDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """A fixed number of restarts, each after the same delay."""

        restart_attempts: int
        delay_between_attempts_interval: int | timedelta

        def get_restart_attempts(self) -> int:
            return self.restart_attempts

        def get_delay_between_attempts_interval(self) -> timedelta:
            return _as_timedelta(self.delay_between_attempts_interval)

        def get_description(self) -> str:
            delay_ms = _ms(self.delay_between_attempts_interval)
            return f"Restart with fixed delay ({delay_ms} ms). #{self.restart_attempts} restart attempts."

        def to_configuration(self) -> Configuration:
            return _configured(
                (options.RESTART_STRATEGY, "fixed-delay"),
                (options.FIXED_DELAY_ATTEMPTS, self.restart_attempts),
                (options.FIXED_DELAY, _ms(self.delay_between_attempts_interval)),
            )

    @dataclass(frozen=True)
    class FailureRateRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The job fails permanently after more than `max_failure_rate` failures in one interval."""

        max_failure_rate: int
        failure_interval: int | timedelta
        delay_between_attempts_interval: int | timedelta

        def get_max_failure_rate(self) -> int:
            return self.max_failure_rate

        def get_failure_interval(self) -> timedelta:
            return _as_timedelta(self.failure_interval)

        def get_delay_between_attempts_interval(self) -> timedelta:
            return _as_timedelta(self.delay_between_attempts_interval)

        def get_description(self) -> str:
            return (
                f"Failure rate restart with maximum of {self.max_failure_rate} failures within interval "
                f"{_ms(self.failure_interval)} ms and fixed delay {_ms(self.delay_between_attempts_interval)} ms."
            )

        def to_configuration(self) -> Configuration:
            return _configured(
                (options.RESTART_STRATEGY, "failure-rate"),
                (options.FAILURE_RATE_MAX, self.max_failure_rate),
                (options.FAILURE_RATE_INTERVAL, _ms(self.failure_interval)),
                (options.FAILURE_RATE_DELAY, _ms(self.delay_between_attempts_interval)),
            )

    @staticmethod
    def no_restart() -> NoRestartStrategyConfiguration:
        return RestartStrategies.NoRestartStrategyConfiguration()

    @staticmethod
    def fall_back_restart() -> FallbackRestartStrategyConfiguration:
        return RestartStrategies.FallbackRestartStrategyConfiguration()

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: int | timedelta
    ) -> FixedDelayRestartStrategyConfiguration:
        """A fixed number of restarts, each after the same delay."""
        _ms(delay_between_attempts)
        return RestartStrategies.FixedDelayRestartStrategyConfiguration(restart_attempts, delay_between_attempts)

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: int | timedelta, delay_interval: int | timedelta
    ) -> FailureRateRestartStrategyConfiguration:
        """Restarts after `delay_interval`, unless there are more than `failure_rate` failures in `failure_interval`."""
        _ms(failure_interval)
        _ms(delay_interval)
        return RestartStrategies.FailureRateRestartStrategyConfiguration(failure_rate, failure_interval, delay_interval)
