"""The current time in expressions.

Read once for each batch, as often as a program names it: streaming semantics, where Flink reads it for each record.
There is no time zone of a session; functions of local time take a zone, UTC where none is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import pyarrow as pa

from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.lazy_imports import pc
from shmflink.expressions.registry import TypeFamily, Values, function

__all__ = ["using_clock"]

_clock: Final[ContextVar[Clock]] = ContextVar("clock of expressions", default=SYSTEM_CLOCK)


@contextmanager
def using_clock(clock: Clock) -> Iterator[None]:
    """Expressions evaluated inside, in this thread, read this clock."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


@function("current_timestamp", is_deterministic=False)
def _current_timestamp() -> Values:
    return pa.scalar(_clock.get().processing_time_ms(), pa.timestamp("ms", "UTC"))


@function("local_timestamp", TypeFamily.TIMESTAMP)
def _local_timestamp(moment: Values, zone: str) -> Values:
    return pc.local_timestamp(pc.cast(moment, pa.timestamp("ms", zone)))
