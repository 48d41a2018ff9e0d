"""SinkFunction and SourceFunction (`pyflink.datastream.functions`).

In PyFlink both wrap a Java class. Here a SinkFunction is written in Python; sources are built from the public parts in
`shmflink.connectors`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

from shmflink.connectors.function_sink import SinkContext
from shmflink.datastream.record_functions import Function
from shmflink.errors import UsageError

__all__ = ["SinkContext", "SinkFunction", "SourceFunction"]


class SinkFunction(Function):
    """*shmflink only, as a class to derive from.* (Flink: RichSinkFunction.) Receives each record at the end of a
    stream.

    A record may arrive again after a failure: make `invoke` idempotent, or write a `Sink` with a committer.
    """

    def __new__(cls, *args: Any, **_: Any) -> Self:
        if cls is SinkFunction:
            raise UsageError(
                f"SinkFunction({', '.join(map(repr, args))}): there is no JVM to run Java sinks; derive a class "
                "from SinkFunction and define invoke(value, context), or use a sink of shmflink.datastream.connectors"
            )
        return super().__new__(cls)

    @abstractmethod
    def invoke(self, value: Any, context: SinkContext) -> None:
        """Receives one record."""


class SourceFunction:
    """PyFlink's wrapper of a Java source: always raises an error here, which names the alternatives."""

    def __init__(self, source_func: Any) -> None:
        raise UsageError(
            f"SourceFunction({source_func!r}): there is no JVM to run Java sources; use env.from_source() with a "
            "source of shmflink.datastream.connectors, from_collection() or a generator"
        )
