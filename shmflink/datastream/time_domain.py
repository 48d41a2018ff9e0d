"""Which time a timer waits for (`pyflink.datastream.time_domain`)."""

from __future__ import annotations

from shmflink.operators.time.timer_service import TimeDomain

__all__ = ["TimeDomain"]
