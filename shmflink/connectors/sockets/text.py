"""A source of records of text that a TCP server sends (Flink: SocketTextStreamFunction)."""

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
"""A record without its end beyond this is an error: the delimiter is hardly right."""

_PORT_MAX: Final = 65535
_TYPE: Final = Types.STRING()
_SCHEMA: Final = scalar_schema(_TYPE)


class SocketTextSource(Source):
    """*shmflink only.* Records of text from a TCP server, by one reader; for trying things out.

    At-most-once: a socket cannot be asked to send again, so what was received and is not yet in a completed
    checkpoint is lost when the job fails, with or without checkpoints. For more, write to files or to a log, and read
    those.
    """

    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    gives_timestamps = False
    is_replayable = False

    def __init__(self, host: str, port: int, delimiter: str = "\n", max_retries: int = 0) -> None:
        """`delimiter` ends a record; before a newline a carriage return is dropped.

        `max_retries`: how often to connect again, half a second later, after a connection that could not be made or
        has ended; negative = always, 0 = the job's input ends when the server closes. The rest of a connection that
        ends within a record is a record. Invalid UTF-8 becomes U+FFFD.
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
    """Cuts what the stream gives into records."""

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
        """What is whole now."""
        # The end of the delimiter may be in what comes now, and only there.
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
        if not records[-1].as_py():  # behind the last delimiter
            records = records.slice(0, len(records) - 1)
        return Batch.of_columns(pa.record_batch([records], schema=_SCHEMA), _TYPE)


def _last_end(text: bytearray, delimiter: bytes, start: int) -> int:
    """The end of the last delimiter that a scan from the left finds; 0 if there is none. No delimiter begins before
    `start`.

    "||" may be found in "|||" twice, from the left once: what overlaps is followed back to the first, which counts.
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
