"""Where a program begins (`pyflink.datastream.stream_execution_environment`)."""

from __future__ import annotations

from shmflink.datastream.data_stream import StreamExecutionEnvironment

__all__ = ["StreamExecutionEnvironment"]
