"""The current time in expressions.

Read once for each batch, as often as a program names it: streaming semantics, where Flink reads it for each record.
There is no time zone of a session; functions of local time take a zone, UTC where none is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["current_date", "current_time", "current_timestamp", "local_time", "local_timestamp", "using_clock"]

_clock: Final[ContextVar[Clock]] = ContextVar("clock of expressions", default=SYSTEM_CLOCK)


@contextmanager
def using_clock(clock: Clock) -> Iterator[None]:
    """Expressions evaluated inside, in this thread, read this clock."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


def current_timestamp() -> Expression:
    """The current time as a timestamp in UTC (TIMESTAMP_LTZ), in milliseconds; one for a batch.

    >>> show(current_timestamp() == current_timestamp(), a=[0])
    _c0: [True]
    """
    return call("current_timestamp")


def local_timestamp(zone: str = "UTC") -> Expression:
    """The current time in a zone, as a timestamp without zone (TIMESTAMP).

    >>> show(local_timestamp().floor_to(days=1) <= local_timestamp(), a=[0])
    _c0: [True]
    """
    return call("local_timestamp", current_timestamp(), parameters=(zone,))


def current_date(zone: str = "UTC") -> Expression:
    """The current date in a zone.

    >>> show(current_date() == local_timestamp().to_date, a=[0])
    _c0: [True]
    """
    return call("to_date", local_timestamp(zone))


def current_time(zone: str = "UTC") -> Expression:
    """The current time of day in a zone.

    >>> show(current_time() == local_time(), a=[0])
    _c0: [True]
    """
    return call("to_time", local_timestamp(zone))


def local_time(zone: str = "UTC") -> Expression:
    """The same as `current_time`.

    >>> show(local_time() == local_timestamp().to_time, a=[0])
    _c0: [True]
    """
    return current_time(zone)


@function("current_timestamp", is_deterministic=False)
def _current_timestamp() -> Values:
    return pa.scalar(_clock.get().processing_time_ms(), pa.timestamp("ms", "UTC"))


@function("local_timestamp", Kind.TIMESTAMP)
def _local_timestamp(moment: Values, zone: str) -> Values:
    return pc.local_timestamp(pc.cast(moment, pa.timestamp("ms", zone)))
