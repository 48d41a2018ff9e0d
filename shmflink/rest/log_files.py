"""Log files as clients may read them: the newest part, without the secrets of the configuration. Blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.rest.views.configuration import HIDDEN, is_secret

__all__ = ["LOG_TEXT", "LogFile", "read_log"]

LOG_TEXT: Final = "text/plain; charset=UTF-8"
_SHOWN_BYTES_MAX: Final = 4 << 20
_SECRET_CHARACTERS_MIN: Final = 4  # a shorter one would tear holes into words


@dataclass(frozen=True, slots=True)
class LogFile:
    """Size in bytes, time in ms since 1970."""

    name: str
    size: int
    changed_ms: int

    @staticmethod
    def of(path: str) -> LogFile | None:
        """None if it is gone."""
        try:
            found = os.stat(path)
        except OSError:
            return None
        return LogFile(os.path.basename(path), found.st_size, int(found.st_mtime * 1000))


def read_log(path: str, configuration: Mapping[str, str]) -> bytes:
    """The end of the file from the beginning of a line on; empty if it is gone."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - _SHOWN_BYTES_MAX, 0))
            text = file.read(_SHOWN_BYTES_MAX)
    except OSError:
        return b""
    if size > _SHOWN_BYTES_MAX:
        text = b"... (the beginning is left out)\n" + text.partition(b"\n")[2]
    for key, value in configuration.items():
        if is_secret(key) and len(value) >= _SECRET_CHARACTERS_MIN:
            text = text.replace(value.encode(), HIDDEN.encode())
    return text
