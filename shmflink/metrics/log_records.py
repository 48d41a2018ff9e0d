"""Log records between processes: what functions log in a TaskManager is handled where the program configured logging.

On a Unix stream socket, both directions::

    length u32 (little-endian) | JSON of that length
    TaskManager -> client   a record; or nothing (length 0): which levels apply?
    client -> TaskManager   the levels

Levels travel so that records that nobody wants do not.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from typing import Any, Final

import orjson

__all__ = ["LogFrames", "apply_levels", "content_of", "current_levels", "frame_of", "record_of"]

_HEADER: Final = struct.Struct("<I")
_RECORD_BYTES_MAX: Final = 1 << 24  # of a frame; a longer message is cut
_CUT_CHARACTERS: Final = _RECORD_BYTES_MAX // 16  # a character takes at most 12 bytes in JSON
_HELD_BACK: Final = ("args", "exc_info", "processName", "taskName")  # no JSON, or told otherwise


def frame_of(content: dict[str, Any] | None) -> bytes:
    """The bytes of one frame; None asks for the levels."""
    if content is None:
        return _HEADER.pack(0)
    text = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
    return _HEADER.pack(len(text)) + text


def content_of(record: logging.LogRecord, process: str) -> dict[str, Any]:
    """A record as JSON holds it: message and traceback as text, what the user added (`extra`) as far as JSON goes."""
    content = {name: value for name, value in vars(record).items() if name not in _HELD_BACK}
    content["msg"] = content["message"] = _cut(record.getMessage())
    if record.exc_info and not record.exc_text:
        content["exc_text"] = _cut(_FORMATTER.formatException(record.exc_info))
    content["processName"] = process
    return content


def record_of(content: dict[str, Any]) -> logging.LogRecord:
    """The record again."""
    return logging.makeLogRecord({**content, "args": None, "exc_info": None})


def _cut(text: str) -> str:
    return text if len(text) <= _CUT_CHARACTERS else f"{text[:_CUT_CHARACTERS]}... ({len(text)} characters)"


_FORMATTER: Final = logging.Formatter()


class LogFrames:
    """Bytes in, contents of frames out."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any] | None]:
        """ValueError where it is none of ours."""
        self._data += data
        while len(self._data) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._data)
            if length > _RECORD_BYTES_MAX:
                raise ValueError(f"a log record of {length} bytes")
            if len(self._data) < _HEADER.size + length:
                return
            text = bytes(self._data[_HEADER.size : _HEADER.size + length])
            del self._data[: _HEADER.size + length]
            yield orjson.loads(text) if text else None


def current_levels() -> dict[str, Any]:
    """What this process logs: of each logger that says so its level, loggers that are off, the level of all."""
    root = logging.getLogger()
    known = {name: one for name, one in root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    levels = {name: one.level for name, one in known.items() if one.level}
    off = [name for name, one in known.items() if one.disabled]
    return {"root": root.level, "levels": levels, "off": off, "disable": root.manager.disable}


def apply_levels(levels: dict[str, Any], before: dict[str, Any]) -> None:
    """Has this process log the same; what was applied `before` and is no longer said is taken back."""
    logging.disable(levels["disable"])
    logging.getLogger().setLevel(levels["root"])
    for name in before.get("levels", {}).keys() - levels["levels"].keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels["levels"].items():
        logging.getLogger(name).setLevel(level)
    for name in before.get("off", []):
        logging.getLogger(name).disabled = False
    for name in levels["off"]:
        logging.getLogger(name).disabled = True
