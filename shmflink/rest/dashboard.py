"""Flink's compiled web dashboard, out of the flink-dist JAR or a folder: read once, served from memory."""

from __future__ import annotations

import mimetypes
import os
import zipfile
from typing import Final

from shmflink.errors import ConfigurationError

__all__ = ["Dashboard"]

_PREFIX: Final = "web/"
_FILES_MAX: Final = 2_000
_BYTES_MAX: Final = 64 << 20
_TYPES: Final = {".js": "text/javascript", ".map": "application/json", ".woff2": "font/woff2", ".ico": "image/x-icon"}


class Dashboard:
    """Names and contents of its files. ConfigurationError if there is none at `path`. Blocks while it is made."""

    def __init__(self, path: str) -> None:
        try:
            self._files = _of_folder(path) if os.path.isdir(path) else _of_jar(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ConfigurationError(f"rest.dashboard: cannot read {path}: {error}") from None
        if "index.html" not in self._files:
            raise ConfigurationError(f"rest.dashboard: {path} holds no web/index.html: name Flink's flink-dist JAR")

    def file(self, path: str) -> tuple[bytes, str] | None:
        """The content and its type; None if there is no such file."""
        name = path.lstrip("/") or "index.html"
        found = self._files.get(name)
        if found is None:
            return None
        kind = _TYPES.get(os.path.splitext(name)[1]) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return found, kind


def _of_jar(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as jar:
        entries = [e for e in jar.infolist() if e.filename.startswith(_PREFIX) and not e.is_dir()][:_FILES_MAX]
        _check_size(sum(entry.file_size for entry in entries), path)
        return {entry.filename.removeprefix(_PREFIX): jar.read(entry) for entry in entries}


def _of_folder(path: str) -> dict[str, bytes]:
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names][:_FILES_MAX]
    _check_size(sum(os.path.getsize(one) for one in paths), path)
    found = {}
    for one in paths:
        with open(one, "rb") as file:
            found[os.path.relpath(one, path)] = file.read()
    return found


def _check_size(size: int, path: str) -> None:
    if size > _BYTES_MAX:
        raise ConfigurationError(f"rest.dashboard: {path} holds {size} bytes, the most is {_BYTES_MAX}")
