"""The contract of input formats: how the bytes of a file become batches (PyFlink: StreamFormat, BulkFormat).

One folder per kind in `formats/`: `parquet`, `arrow`, `orc`, `csv`, `json`, `text`. A `FileSource` finds and cuts the
files, asks a format for their schema, requests columns and rows from it, and passes it one range of one file at a time.
The source does what is common to all formats: partition columns, file names, merging schemas, small files, and
filtering if a format cannot filter.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.columns.known_columns import KnownColumns
from shmflink.connectors.file_system.reading.columns.schemas import MergeRule
from shmflink.connectors.file_system.reading.splits import compression_of
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import TypeInformation

if TYPE_CHECKING:
    import pyarrow as pa

    from shmflink.expressions import Expression
    from shmflink.operators.base import OperatorContext

__all__ = ["BulkFormat", "FileFormat", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the source requests from a format.

    `schema`: exactly the columns of its batches; None: those of each file. `all_columns`: the first such schema, before
    columns were left out. `row_numbers`: the name of the column with the index of each row in its file.
    """

    schema: pa.Schema | None = None
    all_columns: pa.Schema | None = None
    row_numbers: str | None = None


class FileFormat(ABC):
    """The common part of stream and bulk formats. Picklable and immutable: `with_x` returns a copy.

    Life: the program asks `check` and `infer_schema` of some files, then `with_schema` (and `with_filter`,
    `with_row_numbers`); workers call `open_split`, several files one after the other on one instance.
    """

    is_splittable: bool = True
    """Whether an uncompressed file may be cut at any byte; a format then reads what begins inside its range."""

    is_text: bool = False
    """Whether a file is a sequence of records (Flink: StreamFormat), so that appending to it does not invalidate its
    listed part."""

    schema_merge: MergeRule = "widen"
    """How schemas of several files are merged by default: inferred types may differ a little."""

    batch_rows_max: int | None = None
    """The largest number of rows of a batch, if the program has set it; otherwise the source joins small batches."""

    known: KnownColumns | None = None
    """The columns with which files that were not examined are compared when opened; None: columns were declared or
    chosen.
    """

    wanted: Wanted = Wanted()
    """The arguments of `with_schema` and `with_row_numbers`, for formats that store them here (`wanting`)."""

    files: FileSystem = FileSystem()
    """All access to files goes through it: `self.files.open(path)`. The source sets it."""

    @abstractmethod
    def open_split(self, split: Split) -> SplitCursor:
        """Opens a split whose payload is a `FileRange`; `cursor.remaining()` returns one with another `position`.

        Raises:
            ResourceError: the file cannot be opened.
            DataFormatError: it is not of this format; the message names file and place. So does `next_batch`.
        """

    def check(self, path: str) -> None:  # noqa: B027  not every format can tell
        """Checks, in the program's process, that the first file can have this format (otherwise DataFormatError)."""

    def require_columns(self, paths: Sequence[str]) -> None:  # noqa: B027  most tell it by `infer_schema`
        """Checks that each declared column is in at least one of these files (otherwise DataFormatError)."""

    def infer_schema(self, path: str) -> pa.Schema | None:
        """The columns of one file: from its footer, or inferred from a bounded sample of its beginning.

        Columns whose every value in the sample is null have the type `pa.null()`; the source settles them when it
        merges files. None if rows of this format are not columns. Raises DataFormatError.
        """
        return None

    def with_schema(self, schema: pa.Schema) -> Self | None:
        """The same format whose batches have exactly these columns: names, types and order.

        Serves declared and merged schemas as well as column pruning: columns not named are not decoded, columns
        that a file lacks are null, a column of another type is cast, and a value that does not fit is malformed.
        `schema` may be empty: then batches have no columns, but rows. None where the format has no columns.
        """
        return None

    def with_filter(self, predicate: Expression) -> Self | None:
        """The same format, which drops every row for which the predicate is not true; None if the source must filter.

        `predicate` uses columns of the files, which need not be among those of `with_schema`.
        """
        return None

    def with_row_numbers(self, name: str) -> Self | None:
        """The same format with an additional last column: int64, the index of the row in its file, from 0.

        It counts the file's rows, independently of filters and splits. None if the format cannot know that: the source
        then does not cut files, and counts the rows that the format returns.
        """
        return None

    def wanting(self, **changes: Any) -> Self:
        """A copy with another `wanted`: for `with_schema` and similar methods of a format."""
        changed = copy.copy(self)
        changed.wanted = replace(self.wanted, **changes)
        return changed

    def for_reader(self, context: OperatorContext) -> Self:
        """The copy with which one reader opens its splits; `context` has the counters and the mailbox."""
        return copy.copy(self)

    def finish_reader(self) -> None:  # noqa: B027  most hold nothing back
        """The reader's normal end: publishes output that waits for it (malformed rows in files)."""

    def snapshot_reader(self) -> None:  # noqa: B027  most hold nothing back
        """A checkpoint begins: output that waits for the reader's end must not be lost if the reader dies."""

    def close_reader(self) -> None:  # noqa: B027  most have nothing to free
        """Frees what `for_reader` created. Called once, in any case."""

    def side_output_type(self, tag: str) -> TypeInformation | None:
        """The TypeInformation of the cursors' side output `tag`; None if it is not known."""
        return None

    def may_cut(self, path: str) -> bool:
        """Whether this file may be read in several ranges."""
        return self.is_splittable and compression_of(path) is None

    @property
    def produced_type(self) -> TypeInformation | None:
        """The TypeInformation of the rows, if the format defines it; None: the columns of the files."""
        return None


class BulkFormat(FileFormat):
    """Reads batches of records at a time, each file knowing its own structure."""

    schema_merge: MergeRule = "strict"
