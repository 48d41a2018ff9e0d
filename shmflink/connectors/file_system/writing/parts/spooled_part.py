"""An output file for a remote file system: written locally, uploaded when it is published."""

from __future__ import annotations

import os
import secrets
import tempfile
from typing import BinaryIO

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.parts.part_file import PartFile
from shmflink.connectors.file_system.writing.parts.staging import StagedFile, hidden_name

__all__ = ["SpooledPart"]


class SpooledPart:
    """Used in place of a `PartFile`. Until it is linked, it is a file without a name in the temporary directory.

    It keeps its descriptor while it waits, because a file with a name would outlive a killed process.
    """

    def __init__(self, files: FileSystem, name: str, directory: str = "", tag: str = "") -> None:
        """Staged in `directory`. Raises ResourceError if there is no writable temporary directory."""
        self._files = files
        self._hidden = os.path.join(directory, hidden_name(name, tag or secrets.token_hex(4)))
        self._local = PartFile(tempfile.gettempdir(), name)
        self.file: BinaryIO = self._local.file

    @property
    def size_bytes(self) -> int:
        """Bytes written so far; valid only while the file is open."""
        return self._local.size_bytes

    def park(self) -> None:
        """Does nothing: the file keeps its descriptor, see above."""

    def sync(self) -> None:
        """Does nothing: only the uploaded file must be durable."""

    def stage(self, path: str) -> StagedFile:
        """Uploads the file under the hidden name of `path`. Raises ResourceError."""
        self.file.flush()
        size = self.size_bytes
        self._files.put(f"/proc/self/fd/{self.file.fileno()}", self._hidden)
        self._local.discard()
        return StagedFile(self._hidden, path, size)

    def link(self, path: str) -> None:
        """Uploads the file, which appears complete. Raises ResourceError, also if the path already exists."""
        self.file.flush()
        self._files.upload(f"/proc/self/fd/{self.file.fileno()}", path)
        self._local.discard()

    def discard(self) -> None:
        """Discards the file. Safe after any error."""
        self._local.discard()
