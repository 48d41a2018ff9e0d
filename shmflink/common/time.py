"""Amounts of time and points in time (`pyflink.common.time`)."""

from shmflink.core.time_units import Duration, Instant, Time

__all__ = ["Duration", "Instant", "Time"]
