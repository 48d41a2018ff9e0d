"""Reading files (`pyflink.datastream.connectors.file_system`: FileSource and its builder)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shmflink.connectors.base import Source, SourceReader, SplitEnumerator
from shmflink.connectors.file_system.formats import BulkFormat, FileFormat, StreamFormat
from shmflink.connectors.file_system.splits import cut_files, list_files, local_path, require_files
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitReader
from shmflink.errors import JobGraphError
from shmflink.operators.base import OperatorContext

__all__ = ["FileEnumeratorProvider", "FileSource", "FileSourceBuilder", "FileSplitAssignerProvider"]


class FileEnumeratorProvider:
    """Whether files may be cut into several splits.

    Both enumerators walk directories and skip hidden names.
    """

    def __init__(self, *, splits_files: bool) -> None:
        self.splits_files = splits_files

    @staticmethod
    def default_splittable_file_enumerator() -> FileEnumeratorProvider:
        """Cuts large files, except compressed ones."""
        return FileEnumeratorProvider(splits_files=True)

    @staticmethod
    def default_non_splittable_file_enumerator() -> FileEnumeratorProvider:
        """One split per file."""
        return FileEnumeratorProvider(splits_files=False)


class FileSplitAssignerProvider:
    """Which reader gets which split: whoever asks first gets the next one, in path order."""

    @staticmethod
    def locality_aware_split_assigner() -> FileSplitAssignerProvider:
        """The default. On one host every split is local."""
        return FileSplitAssignerProvider()


class FileSource(Source):
    """Reads all files under its paths, in parallel.

    Built by `for_record_stream_format` or `for_bulk_file_format`.
    """

    def __init__(self, file_format: FileFormat, paths: Sequence[str], *, splits_files: bool) -> None:
        """`paths` are absolute: workers run elsewhere."""
        self._format = file_format
        self._paths = tuple(paths)
        self._splits_files = splits_files

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str) -> FileSourceBuilder:
        """A source of records read one after the other, such as text lines.

        `paths` name files, directories or globs.
        """
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat, *paths: str) -> FileSourceBuilder:
        """A source of records read in batches, such as Parquet; `paths` name files, directories or globs."""
        return FileSourceBuilder(bulk_format, paths)

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        if state is not None:
            return SplitQueue(state)
        is_splittable = self._splits_files and self._format.is_splittable
        return SplitQueue(cut_files(list_files(self._paths), parallelism, is_splittable=is_splittable))

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(self._format.open_split)

    @property
    def produced_type(self) -> Any:
        return self._format.produced_type


class FileSourceBuilder:
    """Builds a FileSource. Bounded: it reads the files that are there when the job starts."""

    def __init__(self, file_format: FileFormat, paths: Sequence[str]) -> None:
        if not paths:
            raise JobGraphError("a file source needs at least one path")
        self._format = file_format
        self._paths = [local_path(path) for path in paths]
        self._splits_files = True

    def process_static_file_set(self) -> FileSourceBuilder:
        """The default: reads the files that are there when the job starts, then ends."""
        return self

    def monitor_continuously(self, discovery_interval: Any) -> FileSourceBuilder:
        """Not supported yet.

        Raises:
            JobGraphError: always.
        """
        raise JobGraphError(
            "a file source that keeps looking for new files is not supported in this release; "
            "use process_static_file_set() and run the job again for new files"
        )

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> FileSourceBuilder:
        """Says whether files may be cut into several splits."""
        self._splits_files = file_enumerator.splits_files
        return self

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> FileSourceBuilder:
        """There is one assigner; see FileSplitAssignerProvider."""
        return self

    def build(self) -> FileSource:
        """The source.

        Raises:
            JobGraphError: a path does not exist, cannot be read or holds nothing.
            DataFormatError: the first file cannot be of this format.
        """
        require_files(self._paths)
        self._format.check(list_files(self._paths)[0][0])
        return FileSource(self._format, self._paths, splits_files=self._splits_files)
