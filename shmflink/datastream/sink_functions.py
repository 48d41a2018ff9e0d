"""SinkFunction and SourceFunction (`pyflink.datastream.functions`).

In PyFlink both wrap a class of Java's. Here a SinkFunction is written in Python; sources are built from the public
parts in `shmflink.connectors`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

from shmflink.connectors.function_sink import SinkContext
from shmflink.datastream.record_functions import Function
from shmflink.errors import UsageError

__all__ = ["SinkContext", "SinkFunction", "SourceFunction"]


class SinkFunction(Function):
    """*shmflink only, as a class to derive from.* (Flink: RichSinkFunction.) Takes each record at the end of a stream.

    A record may come again after a failure: make what it does idempotent, or write a `Sink` with a committer.
    """

    def __new__(cls, *args: Any, **_: Any) -> Self:
        if cls is SinkFunction:
            raise UsageError(
                f"SinkFunction({', '.join(map(repr, args))}): there is no JVM, so no sink of Java's; derive a class "
                "from SinkFunction and define invoke(value, context), or use a sink of shmflink.datastream.connectors"
            )
        return super().__new__(cls)

    @abstractmethod
    def invoke(self, value: Any, context: SinkContext) -> None:
        """Takes one record."""


class SourceFunction:
    """PyFlink's wrapper of a source of Java's: always an error here that names what there is instead."""

    def __init__(self, source_func: Any) -> None:
        raise UsageError(
            f"SourceFunction({source_func!r}): there is no JVM, so no source of Java's; use env.from_source() with a "
            "source of shmflink.datastream.connectors, from_collection() or a generator"
        )
