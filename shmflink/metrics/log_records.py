"""Log records between processes: the program's logging configuration handles what functions log in TaskManagers.

On a Unix stream socket, both directions::

    length u32 (little-endian) | JSON of that length
    TaskManager -> client   a record; or nothing (length 0): which levels apply?
    client -> TaskManager   the levels

Levels are sent so that unwanted records are not.
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
_HELD_BACK: Final = ("args", "exc_info", "processName", "taskName")  # not JSON, or sent in another form


def frame_of(content: dict[str, Any] | None) -> bytes:
    """The bytes of one frame; None asks for the levels."""
    if content is None:
        return _HEADER.pack(0)
    text = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
    return _HEADER.pack(len(text)) + text


def content_of(record: logging.LogRecord, process: str) -> dict[str, Any]:
    """A record as JSON: message and traceback as text, the user's `extra` as far as JSON can represent it."""
    content = {name: value for name, value in vars(record).items() if name not in _HELD_BACK}
    content["msg"] = content["message"] = _cut(record.getMessage())
    if record.exc_info and not record.exc_text:
        content["exc_text"] = _cut(_FORMATTER.formatException(record.exc_info))
    content["processName"] = process
    return content


def record_of(content: dict[str, Any]) -> logging.LogRecord:
    """Rebuilds the record."""
    return logging.makeLogRecord({**content, "args": None, "exc_info": None})


def _cut(text: str) -> str:
    return text if len(text) <= _CUT_CHARACTERS else f"{text[:_CUT_CHARACTERS]}... ({len(text)} characters)"


_FORMATTER: Final = logging.Formatter()


class LogFrames:
    """Bytes in, contents of frames out."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any] | None]:
        """ValueError if it is not one of our records."""
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
    """What this process logs: the level of each logger that sets one, disabled loggers, the global level."""
    root = logging.getLogger()
    known = {name: one for name, one in root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    levels = {name: one.level for name, one in known.items() if one.level}
    off = [name for name, one in known.items() if one.disabled]
    return {"root": root.level, "levels": levels, "off": off, "disable": root.manager.disable}


def apply_levels(levels: dict[str, Any], before: dict[str, Any]) -> None:
    """Applies the same settings to this process; reverts those that were applied `before` and are no longer set."""
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
