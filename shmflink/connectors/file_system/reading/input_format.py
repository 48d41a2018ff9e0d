"""The contract of input formats: how the bytes of a file become batches (PyFlink: StreamFormat, BulkFormat).

One folder per format in `formats/`: `parquet`, `arrow`, `orc`, `csv`, `json`, `text`. A `FileSource` finds and splits
the files, asks a format for their schema, tells it which columns and rows are needed, and passes it one range of one
file at a time. The source does what formats share: partition columns, file names, merging of schemas, small files, and
filtering if a format cannot do it.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.columns.known_columns import KnownColumns
from shmflink.connectors.file_system.reading.columns.schemas import MergeRule
from shmflink.connectors.file_system.reading.splits import compression_of
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.types.typeinfo import TypeInformation

if TYPE_CHECKING:
    import pyarrow as pa

    from shmflink.expressions import Expression
    from shmflink.operators.base import OperatorContext

__all__ = ["BulkFormat", "FileFormat"]


class FileFormat(ABC):
    """What stream and bulk formats share. Picklable and immutable: `with_x` returns a copy.

    Life cycle: the program calls `check` and `infer_schema` for some files, then `with_schema` (and `with_filter`,
    `with_row_numbers`); workers call `open_split`, for several files in turn on one instance.
    """

    is_splittable: bool = True
    """Whether an uncompressed file may be split at any byte; a format then reads what begins inside its range."""

    is_text: bool = False
    """Whether a file consists of consecutive records (Flink: StreamFormat), so that a file to which more was appended
    since it was listed is still valid."""

    schema_merge: MergeRule = "widen"
    """How schemas of several files are merged if the program does not say: inferred types may differ a little."""

    batch_rows_max: int | None = None
    """The largest number of rows of a batch, if the program set it; otherwise the source joins small ones."""

    known: KnownColumns | None = None
    """The columns with which files not read before are compared when opened; None: columns were declared or chosen."""

    files: FileSystem = FileSystem()
    """The only access to files: `self.files.open(path)`. The source sets its own here."""

    @abstractmethod
    def open_split(self, split: Split) -> SplitCursor:
        """Opens a split whose payload is a `FileRange`; `cursor.remaining()` returns one with another `position`.

        Raises:
            ResourceError: the file cannot be opened.
            DataFormatError: it does not have this format; the message names file and place. So does `next_batch`.
        """

    def check(self, path: str) -> None:  # noqa: B027  not every format can tell
        """Checks, in the program's process, whether the first file can have this format (otherwise DataFormatError)."""

    def require_columns(self, paths: Sequence[str]) -> None:  # noqa: B027  most tell it by `infer_schema`
        """Checks whether declared columns are in at least one of some files (otherwise DataFormatError)."""

    def infer_schema(self, path: str) -> pa.Schema | None:
        """The columns of one file: from its footer, or inferred from a bounded sample of its beginning.

        Columns whose every value in the sample is null have the type `pa.null()`; the source resolves them when it
        merges files. None if rows of this format are not columns. Raises DataFormatError.
        """
        return None

    def with_schema(self, schema: pa.Schema) -> Self | None:
        """The same format whose batches have exactly these columns: names, types and order.

        Serves declared and merged schemas as well as column pruning: columns not named are not decoded, columns
        that a file lacks are null, a column of another type is cast, and a value that does not fit is malformed.
        `schema` may be empty: then batches have rows but no columns. None if the format has no columns.
        """
        return None

    def with_filter(self, predicate: Expression) -> Self | None:
        """The same format without rows for which the predicate is not true; None: the source filters.

        `predicate` uses columns of the files, which need not be among those of `with_schema`.
        """
        return None

    def with_row_numbers(self, name: str) -> Self | None:
        """The same format with one more, last column: int64, the index of the row in its file, from 0.

        It counts the file's rows, independently of filters and of where the file is split. None if that cannot be
        known: the source then does not cut files, and counts the rows that the format hands out.
        """
        return None

    def for_reader(self, context: OperatorContext) -> Self:
        """The copy with which one reader opens its splits; `context` has the counters and the mailbox."""
        return copy.copy(self)

    def finish_reader(self) -> None:  # noqa: B027  most hold nothing back
        """The reader's normal end: what was held back until then (malformed rows in files) becomes visible."""

    def snapshot_reader(self) -> None:  # noqa: B027  most hold nothing back
        """A checkpoint begins: what is held back until the reader's end must not be lost with the reader."""

    def close_reader(self) -> None:  # noqa: B027  most have nothing to free
        """Frees what `for_reader` created. Called once, in any case."""

    def side_output_type(self, tag: str) -> TypeInformation | None:
        """The TypeInformation of what cursors hand out as the side output `tag`; None where it is not known."""
        return None

    def may_cut(self, path: str) -> bool:
        """Whether this file may be read in several ranges."""
        return self.is_splittable and compression_of(path) is None

    @property
    def produced_type(self) -> TypeInformation | None:
        """The TypeInformation of the rows where the format itself says it; else None: columns of the files."""
        return None


class BulkFormat(FileFormat):
    """Reads batches of records at a time, each file knowing its own structure."""

    schema_merge: MergeRule = "strict"
