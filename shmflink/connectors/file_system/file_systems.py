"""The only access to files: opens, lists and examines local and remote ones.

Local paths use the operating system directly. `s3://`, `gs://`, `abfs://` and `hdfs://` go through pyarrow's file
systems, every other scheme (`memory://`, `https://`, `sftp://`, ...) through fsspec, if it is installed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import arrow_fs
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import ConfigurationError, ResourceError

__all__ = ["FileInfo", "FileSystem"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as a listing shows it. `modified_ns` and `inode` are 0 if the file system does not provide them."""

    path: str
    size: int
    modified_ns: int = 0
    inode: int = 0


class FileSystem:
    """Files by path or URI. Picklable; each process opens connections when it needs them and keeps them."""

    def __init__(self, storage_options: Mapping[str, Any] | None = None, file_system: Any = None) -> None:
        """`storage_options` go to the file system behind the scheme (S3FileSystem(**options), fsspec's options).

        With a `file_system` of pyarrow or fsspec, all paths are paths in it.
        """
        self._options = dict(storage_options or {})
        self._given = None if file_system is None else _as_arrow(file_system)
        self._connections: dict[str, tuple[Any, str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connections": {}}

    def absolute(self, path: str | os.PathLike[str]) -> str:
        """The path in a form that is valid in workers, which have another working folder: absolute, or a URI.

        Raises:
            ConfigurationError: `path` is not a path or is empty, or the URI contains options.
        """
        path = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not isinstance(path, str):
            raise ConfigurationError(f"a path must be a str or an os.PathLike, not {path!r:.120}")
        if self._given is not None:
            return path
        if not path.strip():
            raise ConfigurationError(
                f"the path {path!r} is empty; name a file, a folder ('.' for this one) or a pattern"
            )
        if "://" not in path and not path.startswith("file:"):
            return os.path.abspath(os.path.expanduser(path))
        parts = urlsplit(path)
        if parts.scheme == "file":
            return os.path.abspath(unquote(parts.path))
        if parts.scheme in _ARROW_SCHEMES and parts.query:
            raise ConfigurationError(f"{path}: pass the part after `?` as storage_options={{...}}")
        return path

    def is_local(self, path: str) -> bool:
        """Whether the path is on this host's file systems."""
        return self._given is None and "://" not in path

    def open(self, path: str) -> BinaryIO:
        """A seekable binary file, not buffered.

        Raises:
            ResourceError: it does not exist or cannot be read.
        """
        if not self.is_local(path):
            return cast(BinaryIO, self.open_arrow(path))
        try:
            return open(path, "rb", buffering=0)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be read: {error.strerror}") from error

    def open_arrow(self, path: str, *, is_mapped: bool = False) -> pa.NativeFile:
        """A seekable file for pyarrow's readers; mapped into memory if it is local and `is_mapped`.

        Raises:
            ResourceError: it does not exist or cannot be read.
        """
        try:
            if self.is_local(path):
                return pa.memory_map(path) if is_mapped and os.path.getsize(path) else pa.OSFile(path)
            system, inner = self._locate(path)
            return system.open_input_file(inner)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be read: {_reason(error)}") from error

    def stat(self, path: str) -> FileInfo | None:
        """The file at a path; None if there is none, or if it is a directory."""
        if self.is_local(path):
            try:
                found = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            is_file = not os.path.isdir(path)
            return FileInfo(path, found.st_size, found.st_mtime_ns, found.st_ino) if is_file else None
        system, inner = self._locate(path)
        try:
            info = system.get_file_info([inner])[0]
        except OSError as error:
            raise ResourceError(f"{path}: cannot be examined: {_reason(error)}") from error
        return _info(info, path) if info.type == arrow_fs.FileType.File else None

    def is_folder(self, path: str) -> bool:
        """Whether there is a directory at a path."""
        if self.is_local(path):
            return os.path.isdir(path)
        system, inner = self._locate(path)
        try:
            info = system.get_file_info([inner])[0]
        except OSError as error:
            raise ResourceError(f"{path}: cannot be examined: {_reason(error)}") from error
        return bool(info.type == arrow_fs.FileType.Directory)

    def walk(self, path: str) -> Iterator[FileInfo]:
        """All files under a directory, including hidden ones, in no particular order; none if it is not a directory.

        Raises:
            ResourceError: it cannot be listed.
        """
        try:
            if self.is_local(path):
                yield from _walk_local(path)
                return
            system, inner = self._locate(path)
            base = inner.rstrip("/")
            prefix = path.rstrip("/")
            for info in system.get_file_info(arrow_fs.FileSelector(base, recursive=True, allow_not_found=True)):
                if info.type == arrow_fs.FileType.File:
                    yield _info(info, prefix + info.path[len(base) :])
        except OSError as error:
            raise ResourceError(f"{path}: cannot be listed: {_reason(error)}") from error

    def upload(self, local_path: str, path: str) -> None:
        """Copies a local file to a remote path, where it appears completely; creates missing folders.

        Raises:
            ResourceError: the path already exists, or the file system reports an error.
        """
        system, inner = self._locate(path)
        # An object appears when its upload is complete; other systems would show it while it grows.
        is_store = any(kind in system.type_name for kind in _OBJECT_STORES)
        folder, _, name = inner.rpartition("/")
        target = inner if is_store else f"{folder}/.{name}.inprogress"
        try:
            if system.get_file_info([inner])[0].type != arrow_fs.FileType.NotFound:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            if not is_store and folder:
                system.create_dir(folder)
            with open(local_path, "rb", buffering=0) as source, system.open_output_stream(target) as copy:
                shutil.copyfileobj(source, copy, _COPY_BYTES)
            if not is_store:
                system.move(target, inner)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written: {_reason(error)}") from error

    def put(self, local_path: str, path: str) -> None:
        """Copies a local file to a remote path, where readers may see it while it grows: for hidden names only.

        Raises:
            ResourceError: the file system refuses.
        """
        system, inner = self._locate(path)
        try:
            folder = inner.rpartition("/")[0]
            if folder and not any(kind in system.type_name for kind in _OBJECT_STORES):
                system.create_dir(folder)
            with open(local_path, "rb", buffering=0) as source, system.open_output_stream(inner) as copy:
                shutil.copyfileobj(source, copy, _COPY_BYTES)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written: {_reason(error)}") from error

    def move(self, source: str, path: str) -> bool:
        """Moves a remote file to another path, at which it appears complete; creates missing folders.

        False if the source does not exist. An object store copies, and then removes the source.

        Raises:
            ResourceError: both the path and the source exist, or the file system reports an error.
        """
        system, inner = self._locate(path)
        _, inner_source = self._locate(source)
        try:
            found = system.get_file_info([inner_source, inner])
            if found[0].type == arrow_fs.FileType.NotFound:
                return False
            if found[1].type != arrow_fs.FileType.NotFound and not _is_copy(system, found[0], found[1]):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            folder = inner.rpartition("/")[0]
            if folder and not any(kind in system.type_name for kind in _OBJECT_STORES):
                system.create_dir(folder)
            system.move(inner_source, inner)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written: {_reason(error)}") from error
        return True

    def remove(self, path: str) -> None:
        """Removes a file. Raises OSError."""
        if self.is_local(path):
            os.unlink(path)
            return
        system, inner = self._locate(path)
        system.delete_file(inner)

    def list_folder(self, path: str) -> list[FileInfo]:
        """The files directly in a directory, including hidden ones; none if it is not a directory.

        Raises:
            ResourceError: it cannot be listed.
        """
        try:
            if self.is_local(path):
                return list(_walk_local(path, is_recursive=False))
            system, inner = self._locate(path)
            base, prefix = inner.rstrip("/"), path.rstrip("/")
            found = system.get_file_info(arrow_fs.FileSelector(base, recursive=False, allow_not_found=True))
        except OSError as error:
            raise ResourceError(f"{path}: cannot be listed: {_reason(error)}") from error
        return [
            _info(info, prefix + "/" + info.path.rpartition("/")[2])
            for info in found
            if info.type == arrow_fs.FileType.File
        ]

    def _locate(self, path: str) -> tuple[Any, str]:
        """The file system behind a path, and the path in it."""
        if self._given is not None:
            return self._given, path
        parts = urlsplit(path)
        key = f"{parts.scheme}://{parts.netloc}"
        if key not in self._connections:
            self._connections[key] = self._connect(parts.scheme, path)
        system, prefix = self._connections[key]
        return system, prefix + path[len(key) :]

    def _connect(self, scheme: str, path: str) -> tuple[Any, str]:
        """The file system, and the prefix of its paths that replaces `scheme://authority`."""
        if scheme in _ARROW_SCHEMES:
            try:
                return _connect_arrow(scheme, path, self._options)
            except (ImportError, OSError, TypeError, ValueError) as error:
                raise ConfigurationError(f"{path}: cannot use the file system `{scheme}:`: {error}") from error
        return _connect_fsspec(scheme, path, self._options)


_OBJECT_STORES: Final = ("s3", "gcs", "abfs")
_COPY_BYTES: Final = 8 << 20

_ARROW_SCHEMES: Final = {
    "s3": "S3FileSystem",
    "gs": "GcsFileSystem",
    "gcs": "GcsFileSystem",
    "abfs": "AzureFileSystem",
    "abfss": "AzureFileSystem",
    "hdfs": "HadoopFileSystem",
    "viewfs": "HadoopFileSystem",
}


def _connect_arrow(scheme: str, path: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    parts = urlsplit(path)
    if options:
        made = getattr(arrow_fs, _ARROW_SCHEMES[scheme])
        is_hadoop = scheme in ("hdfs", "viewfs")
        where = {"host": parts.hostname or "default", "port": parts.port or 0} if is_hadoop else {}
        return made(**{**where, **options}), "" if is_hadoop else parts.netloc
    system, inner = arrow_fs.FileSystem.from_uri(path)
    return system, inner.removesuffix(parts.path) if parts.path else inner


def _connect_fsspec(scheme: str, path: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        import fsspec  # an extra of the package
    except ImportError:
        raise ConfigurationError(
            f"{path}: the file system `{scheme}:` needs fsspec: pip install 'shmflink[fsspec]'"
        ) from None
    try:
        system, inner = fsspec.core.url_to_fs(path, **options)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"{path}: fsspec has no file system `{scheme}:`: {error}") from error
    return _as_arrow(system), inner.removesuffix(urlsplit(path).path)


def _as_arrow(file_system: Any) -> Any:
    if isinstance(file_system, arrow_fs.FileSystem):
        return file_system
    if not hasattr(file_system, "open") or not hasattr(file_system, "info"):
        raise ConfigurationError(f"file_system: {file_system!r} is neither a pyarrow nor an fsspec file system")
    return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(file_system))


def _info(info: arrow_fs.FileInfo, path: str) -> FileInfo:
    return FileInfo(path, int(info.size or 0), int(info.mtime_ns or 0))


def _is_copy(system: Any, source: arrow_fs.FileInfo, copy: arrow_fs.FileInfo) -> bool:
    """Whether an object store has both names because a move was interrupted before it removed the source."""
    return any(kind in system.type_name for kind in _OBJECT_STORES) and source.size == copy.size


def _walk_local(path: str, *, is_recursive: bool = True) -> Iterator[FileInfo]:
    try:
        entries = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.is_dir():
                if is_recursive:
                    yield from _walk_local(entry.path)
                continue
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue  # it was removed meanwhile
            yield FileInfo(entry.path, found.st_size, found.st_mtime_ns, found.st_ino)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


register_plain(FileInfo)
