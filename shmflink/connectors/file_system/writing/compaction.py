"""PyFlink's names for compacting small part files; `FileSink` refuses them and offers larger parts instead."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["FileCompactStrategy", "FileCompactStrategyBuilder", "FileCompactor"]


@dataclass(frozen=True, slots=True)
class FileCompactStrategy:
    """When files would be compacted. Created by `builder()`."""

    checkpoints: int | None = None
    size_threshold: int | None = None
    threads: int = 1

    Builder: ClassVar[type[FileCompactStrategyBuilder]]

    @staticmethod
    def builder() -> FileCompactStrategyBuilder:
        return FileCompactStrategyBuilder()


class FileCompactStrategyBuilder:
    """Builds a FileCompactStrategy."""

    def __init__(self) -> None:
        self._strategy = FileCompactStrategy()

    def enable_compaction_on_checkpoint(self, num_checkpoints_before_compaction: int) -> FileCompactStrategyBuilder:
        self._strategy = replace(self._strategy, checkpoints=num_checkpoints_before_compaction)
        return self

    def set_size_threshold(self, size_threshold: int) -> FileCompactStrategyBuilder:
        self._strategy = replace(self._strategy, size_threshold=size_threshold)
        return self

    def set_num_compact_threads(self, num_compact_threads: int) -> FileCompactStrategyBuilder:
        if num_compact_threads <= 0:
            raise ConfigurationError(f"set_num_compact_threads() needs at least 1, got {num_compact_threads}")
        self._strategy = replace(self._strategy, threads=num_compact_threads)
        return self

    def build(self) -> FileCompactStrategy:
        """Raises ConfigurationError if no condition for compaction is set."""
        if self._strategy.checkpoints is None and self._strategy.size_threshold is None:
            raise ConfigurationError("FileCompactStrategy: give a number of checkpoints, a size, or both")
        return self._strategy


FileCompactStrategy.Builder = FileCompactStrategyBuilder


@dataclass(frozen=True, slots=True)
class FileCompactor:
    """How files would be compacted."""

    kind: str
    delimiter: bytes | None = None

    @staticmethod
    def concat_file_compactor(file_delimiter: bytes | None = None) -> FileCompactor:
        """Concatenates the files, with these bytes between them."""
        return FileCompactor("concat", file_delimiter)

    @staticmethod
    def identical_file_compactor() -> FileCompactor:
        """Copies files unchanged."""
        return FileCompactor("identical")
