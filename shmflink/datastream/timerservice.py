"""Timers of keyed functions (`pyflink.datastream.timerservice`)."""

from __future__ import annotations

from shmflink.operators.time.timer_service import TimerService

__all__ = ["TimerService"]
