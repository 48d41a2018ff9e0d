"""A source of text records that a TCP server sends (Flink: SocketTextStreamFunction)."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.base import Boundedness, Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.formats.scalar_rows import scalar_schema
from shmflink.connectors.sockets.stream import SocketStream
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.lazy_imports import pc
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import ConfigurationError, DataFormatError
from shmflink.operators.base import OperatorContext

__all__ = ["RECORD_BYTES_MAX", "SocketTextSource"]

RECORD_BYTES_MAX: Final = 64 << 20
"""A record that is longer than this is an error: the delimiter is probably wrong."""

_PORT_MAX: Final = 65535
_TYPE: Final = Types.STRING()
_SCHEMA: Final = scalar_schema(_TYPE)


class SocketTextSource(Source):
    """*shmflink only.* Text records from a TCP server, with one reader; for experiments.

    At-most-once: a socket cannot send data again, so records that are not in a completed checkpoint are lost when the
    job fails. For a stronger guarantee, write the records to files or to a log, and read those.
    """

    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    gives_timestamps = False
    is_replayable = False

    def __init__(self, host: str, port: int, delimiter: str = "\n", max_retries: int = 0) -> None:
        """`delimiter` ends a record; a carriage return before a newline is dropped.

        `max_retries`: how often to reconnect, half a second later, after a connection has failed or ended; negative =
        always, 0 = the job's input ends when the server closes. If a connection ends within a record, the part received
        is a record. Invalid UTF-8 becomes U+FFFD.
        """
        if not host or not 0 < port <= _PORT_MAX or not delimiter:
            raise ConfigurationError(
                f"a socket source needs a host, a port from 1 to {_PORT_MAX} and a delimiter, "
                f"got {host!r}, {port} and {delimiter!r}"
            )
        self._host = host
        self._port = port
        self._delimiter = delimiter
        self._max_retries = max_retries

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        return SplitQueue((Split("0", None),) if state is None else state)

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(self._open(context))

    @property
    def produced_type(self) -> TypeInformation:
        return _TYPE

    @property
    def fixed_parallelism(self) -> int | None:
        return 1

    def _open(self, context: OperatorContext) -> Any:
        def open_split(split: Split) -> SplitCursor:
            stream = SocketStream(self._host, self._port, self._max_retries, context.mailbox.wake)
            return _RecordsCursor(split, stream, self._delimiter)

        return open_split


class _RecordsCursor(SplitCursor):
    """Cuts the stream into records."""

    def __init__(self, split: Split, stream: SocketStream, delimiter: str) -> None:
        self._split = split
        self._stream = stream
        self._delimiter = delimiter.encode()
        self._text = delimiter
        self._carry = bytearray()

    def next_batch(self) -> Batch | Poll | None:
        while True:
            data, has_broken, has_ended = self._stream.take()
            records = self._records(data, has_broken=has_broken)
            if records:
                return self._batch(records)
            if not has_broken:
                return None if has_ended else Poll.WAIT

    def _records(self, data: bytes, *, has_broken: bool) -> bytes:
        """The records that are complete by now."""
        # The end of the delimiter can only be in the new bytes.
        looked_at = max(0, len(self._carry) - len(self._delimiter) + 1)
        self._carry += data
        end = len(self._carry) if has_broken else _last_end(self._carry, self._delimiter, looked_at)
        records = bytes(self._carry[:end])
        del self._carry[:end]
        if len(self._carry) > RECORD_BYTES_MAX:
            raise DataFormatError(f"a record of more than {RECORD_BYTES_MAX} bytes does not end with {self._text!r}")
        return records

    def remaining(self) -> Split:
        return self._split

    def close(self) -> None:
        self._stream.close()

    def _batch(self, data: bytes) -> Batch:
        if self._text == "\n":
            data = data.replace(b"\r\n", b"\n")
        text = data.decode(errors="replace")
        records = pc.split_pattern(pa.array([text], pa.large_string()), self._text).values.cast(pa.string())
        if not records[-1].as_py():  # after the last delimiter
            records = records.slice(0, len(records) - 1)
        return Batch.of_columns(pa.record_batch([records], schema=_SCHEMA), _TYPE)


def _last_end(text: bytearray, delimiter: bytes, start: int) -> int:
    """The end of the last delimiter that a scan from the left finds; 0 if there is none. No delimiter begins before
    `start`.

    "||" occurs in "|||" at two overlapping positions, but a scan from the left finds only the first. So overlapping
    occurrences are followed back to the first one, which counts.
    """
    size = len(delimiter)
    first = text.rfind(delimiter, start)
    if first < 0:
        return 0
    while (before := text.rfind(delimiter, max(start, first - size + 1), first + size - 1)) >= 0:
        first = before
    end = first + size
    while (following := text.find(delimiter, end)) >= 0:
        end = following + size
    return end
