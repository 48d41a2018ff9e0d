"""The one door to files: opening, listing and looking at them, wherever they are."""

from __future__ import annotations

from typing import BinaryIO

from shmflink.errors import ResourceError

__all__ = ["FileSystem"]


class FileSystem:
    """Local files. Picklable."""

    def open(self, path: str) -> BinaryIO:
        """A seekable binary file, not buffered.

        Raises:
            ResourceError: it does not exist or cannot be read.
        """
        try:
            return open(path, "rb", buffering=0)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be read: {error.strerror}") from error
