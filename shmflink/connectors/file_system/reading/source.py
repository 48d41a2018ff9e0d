"""Reading files (`pyflink.datastream.connectors.file_system`: FileSource and its builder)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack, cast

import pyarrow as pa

from shmflink.connectors.base import Boundedness, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.file_system.file_systems import FileInfo, FileSystem
from shmflink.connectors.file_system.reading.changed_files import OnChange, on_change_of
from shmflink.connectors.file_system.reading.columns.partitions import prune_files
from shmflink.connectors.file_system.reading.discovery import DiscoveryState, FileDiscovery
from shmflink.connectors.file_system.reading.files_cursor import FilesCursor
from shmflink.connectors.file_system.reading.input_format import BulkFormat, FileFormat
from shmflink.connectors.file_system.reading.listing import find_files
from shmflink.connectors.file_system.reading.scan import FileScan
from shmflink.connectors.file_system.reading.scan_building import (
    FileOptions,
    Paths,
    build_scan,
    interval_ms_of,
    paths_of,
)
from shmflink.connectors.file_system.reading.splits import FileRanges, cut_files
from shmflink.connectors.keywords import check_keywords
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitReader
from shmflink.core.time_units import Duration
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import ConfigurationError, JobGraphError
from shmflink.operators.base import OperatorContext

if TYPE_CHECKING:
    from shmflink.connectors.file_system.formats.text.format import StreamFormat
    from shmflink.expressions import Expression

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
        """Every file is read by one reader."""
        return FileEnumeratorProvider(splits_files=False)


class FileSplitAssignerProvider:
    """Assigns splits to readers in path order: the next split goes to the first reader that requests one."""

    @staticmethod
    def locality_aware_split_assigner() -> FileSplitAssignerProvider:
        """The default. On one host every split is local."""
        return FileSplitAssignerProvider()


class FileSource(Source):
    """Reads all files under its paths, in parallel.

    Created by `parquet`, `csv`, `json_lines`, `ipc`, `orc` or `text` (*shmflink only*), or with PyFlink's
    `for_record_stream_format` and `for_bulk_file_format`. Paths name files, directories (walked recursively, without
    names that begin with `.` or `_`), globs (`*`, `?`, `[a-z]`, `[!a]`, `**` for folders, `{a,b}` for alternatives), or
    URIs of other file systems.
    """

    gives_timestamps = False

    def __init__(
        self,
        scan: FileScan,
        paths: Sequence[str],
        *,
        splits_files: bool,
        monitor_interval_ms: int | None = None,
        on_change: OnChange = "fail",
    ) -> None:
        """`paths` are absolute, because workers have other working folders. With an interval, the source watches its
        paths.
        """
        self._scan = scan
        self._paths = tuple(paths)
        self._splits_files = splits_files
        self._interval_ms = monitor_interval_ms
        self._on_change: OnChange = on_change
        if monitor_interval_ms is not None:
            self.boundedness = Boundedness.CONTINUOUS_UNBOUNDED

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str) -> FileSourceBuilder:
        """A source of records read one after another, for example text lines.

        `paths` name files, directories or globs.
        """
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat, *paths: str) -> FileSourceBuilder:
        """A source of records read in batches, for example Parquet; `paths` name files, directories or globs."""
        return FileSourceBuilder(bulk_format, paths)

    @staticmethod
    def parquet(paths: Paths, *, batch_rows: int | None = None, **options: Unpack[FileOptions]) -> FileSource:
        """*shmflink only.* Parquet files as columns; `options` are `FileOptions`.

        Encoded columns and views become plain columns, UUIDs become text (bytes if `schema=` declares binary), INT96
        becomes microseconds.

        Key-value metadata of files, such as the `geo` of GeoParquet, and of columns, such as field ids, follow the rows
        and columns through filters, projections, unions, joins and exchanges, up to file sinks and `to_arrow()`;
        `FileSink.parquet(metadata=...)` takes precedence. Metadata that no longer holds is dropped: entries of `geo`
        whose column was removed, bounding boxes after a filter, `pandas` if its columns changed. Several files, and the
        streams of a union, keep the metadata that all of them have, and the parts of `geo` that do not contradict. With
        `schema=`, the metadata of that schema is used instead. A watched folder (`monitor_interval`) has only the
        metadata of `schema=`, because later files may have other metadata.

        Raises:
            JobGraphError: a path does not exist, cannot be read or contains no file.
            DataFormatError: the first file is not a Parquet file, or the files' schemas do not match.
        """
        from shmflink.connectors.file_system.formats.parquet.format import (
            ParquetFormat,  # formats are imported only if used
        )

        _check("parquet", options, "batch_rows")
        made = ParquetFormat() if batch_rows is None else ParquetFormat(batch_size=batch_rows)
        return FileSource.of_format(made, paths, **options)

    @staticmethod
    def csv(paths: Paths, **options: Any) -> FileSource:
        """*shmflink only.* CSV files as columns; `options` are `FileOptions` and those of `CsvFormat`."""
        from shmflink.connectors.file_system.formats.csv.format import CsvFormat

        _check("csv", options, *inspect.signature(CsvFormat).parameters)
        of_files, of_format = _share(options)
        made = CsvFormat(options.get("schema"), **of_format)
        if made.declared is not None:
            of_files["schema"] = made.declared
        return FileSource.of_format(made, paths, **of_files)

    @staticmethod
    def json_lines(paths: Paths, **options: Any) -> FileSource:
        """*shmflink only.* Files with one JSON object per line; `options` are `FileOptions` and those of
        `JsonLinesFormat`.
        """
        from shmflink.connectors.file_system.formats.json.format import JsonLinesFormat

        _check("json_lines", options, *inspect.signature(JsonLinesFormat).parameters)
        of_files, of_format = _share(options)
        made = JsonLinesFormat(options.get("schema"), **of_format)
        if made.declared is not None:
            of_files["schema"] = made.declared
        return FileSource.of_format(made, paths, **of_files)

    @staticmethod
    def text(paths: Paths, *, charset: str = "UTF-8", **options: Unpack[FileOptions]) -> FileSource:
        """*shmflink only.* Lines of text as strings; with folder or metadata columns, the text is the column `value`.

        `options` are `FileOptions`.
        """
        from shmflink.connectors.file_system.formats.text.format import TextLinesFormat

        _check("text", options, "charset")
        return FileSource.of_format(TextLinesFormat(charset), paths, **options)

    @staticmethod
    def ipc(paths: Paths, **options: Unpack[FileOptions]) -> FileSource:
        """*shmflink only.* Arrow IPC files and streams as columns; `options` are `FileOptions`."""
        from shmflink.connectors.file_system.formats.arrow.format import ArrowIpcFormat

        _check("ipc", options)
        return FileSource.of_format(ArrowIpcFormat(), paths, **options)

    @staticmethod
    def orc(paths: Paths, **options: Unpack[FileOptions]) -> FileSource:
        """*shmflink only.* ORC files as columns; `options` are `FileOptions`.

        Timestamps must be between 1677 and 2262, because Arrow's reader converts them to nanoseconds. Any other is an
        error that names its column; `columns=` can exclude that column. Dates are of any year.
        """
        from shmflink.connectors.file_system.formats.orc.format import OrcFormat

        _check("orc", options)
        return FileSource.of_format(OrcFormat(), paths, **options)

    @staticmethod
    def of_format(file_format: FileFormat, paths: Paths, **options: Unpack[FileOptions]) -> FileSource:
        """*shmflink only.* Files of any format; `options` are `FileOptions`."""
        unknown = sorted(set(options) - set(FileOptions.__annotations__))
        if unknown:
            raise ConfigurationError(
                f"{unknown[0]!r} is not an option; the options are {', '.join(FileOptions.__annotations__)}"
            )
        interval = options.get("monitor_interval")
        files = FileSystem(options.get("storage_options"), options.get("file_system"))
        given = paths_of(paths)
        if not given:
            raise JobGraphError("a file source needs at least one path")
        absolute = [files.absolute(path) for path in given]
        scan = build_scan(_through(file_format, files), absolute, files, options)
        interval_ms = None if interval is None else interval_ms_of(interval)
        splits_files = options.get("splits_files", True)
        on_change = on_change_of(options.get("on_change", "fail"))
        return FileSource(
            scan, absolute, splits_files=splits_files, monitor_interval_ms=interval_ms, on_change=on_change
        )

    @property
    def file_format(self) -> FileFormat:
        """*shmflink only.* How the bytes of its files become rows."""
        return self._scan.format

    @property
    def paths(self) -> tuple[str, ...]:
        """*shmflink only.* Files, folders and globs, absolute."""
        return self._paths

    @property
    def monitor_interval_ms(self) -> int | None:
        """*shmflink only.* How often it looks for new files; None if it reads only those that exist at the start."""
        return self._interval_ms

    @property
    def schema(self) -> pa.Schema | None:
        """*shmflink only.* The columns that are emitted; None if the records are not columns."""
        return self._scan.produced_schema

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        scan = self._scan

        def cut(found: Sequence[FileInfo], first_number: int) -> Iterable[Split]:
            kept = prune_files(found, scan.partitions, scan.partition_predicate())
            return cut_files(kept, parallelism, self._may_cut, first_number)

        def find() -> list[FileInfo]:
            return find_files(scan.files, self._paths)

        is_discovery = self._interval_ms is not None or not all(scan.files.is_local(path) for path in self._paths)
        if is_discovery:
            assert state is None or isinstance(state, DiscoveryState), state
            return FileDiscovery(find, cut, self._interval_ms, state)
        return SplitQueue(cut(find(), 0) if state is None else state)

    def create_reader(self, context: OperatorContext) -> SourceReader:
        plan = self._scan.read_plan()
        plan = replace(plan, format=plan.format.for_reader(context), is_watchful=self._on_change == "fail")
        files = self._scan.files
        return SplitReader(
            lambda split: FilesCursor(split, files, plan),
            plan.format.finish_reader,
            plan.format.close_reader,
            plan.format.snapshot_reader,
        )

    split_payloads = (FileRanges,)

    @property
    def state_kind(self) -> str:
        """Includes the format, because each format defines positions in files differently."""
        return f"FileSource ({type(self._scan.format).__name__})"

    def with_columns(self, columns: Sequence[str]) -> FileSource | None:
        return self._with(self._scan.with_columns(columns))

    def with_filter(self, predicate: Expression) -> tuple[FileSource, bool] | None:
        """Always exact: folders, row groups and rows are skipped as early as possible."""
        filtered = self._with(self._scan.with_filter(predicate))
        return None if filtered is None else (filtered, True)

    def side_output_type(self, tag: str) -> TypeInformation | None:
        return self._scan.format.side_output_type(tag)

    @property
    def produced_metadata(self) -> pa.Schema:
        return self._scan.produced_annotations

    @property
    def produced_type(self) -> TypeInformation | None:
        return self._scan.produced_type

    def _may_cut(self, path: str) -> bool:
        return self._splits_files and self._scan.format.may_cut(path) and not self._scan.needs_whole_files

    def _with(self, scan: FileScan | None) -> FileSource | None:
        if scan is None:
            return None
        return FileSource(
            scan,
            self._paths,
            splits_files=self._splits_files,
            monitor_interval_ms=self._interval_ms,
            on_change=self._on_change,
        )


class FileSourceBuilder:
    """Builds a FileSource. Bounded, unless `monitor_continuously` is called."""

    def __init__(self, file_format: FileFormat, paths: Sequence[str]) -> None:
        if not paths:
            raise JobGraphError("a file source needs at least one path")
        self._files = FileSystem()
        self._format = _through(file_format, self._files)
        self._paths = [self._files.absolute(path) for path in paths]
        self._splits_files = True
        self._interval_ms: int | None = None

    def process_static_file_set(self) -> FileSourceBuilder:
        """The default: reads the files that exist when the job starts, then ends."""
        self._interval_ms = None
        return self

    def monitor_continuously(self, discovery_interval: Duration) -> FileSourceBuilder:
        """Looks for new files under the paths at this interval and reads each once; the job does not end.

        A file must appear complete (renamed into place, as FileSink does). Hidden and empty files, and names that end
        in `.tmp` or contain `.inprogress`, are ignored. A file that is changed later is not read again.
        """
        self._interval_ms = interval_ms_of(discovery_interval)
        return self

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> FileSourceBuilder:
        """Sets whether files may be cut into several splits."""
        self._splits_files = file_enumerator.splits_files
        return self

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> FileSourceBuilder:
        """There is one assigner; see FileSplitAssignerProvider."""
        return self

    def build(self) -> FileSource:
        """The source.

        Raises:
            JobGraphError: a path does not exist, cannot be read or contains no file.
            DataFormatError: the first file cannot have this format.
        """
        interval = None if self._interval_ms is None else self._interval_ms / 1000
        options = FileOptions(partitions=None, schema_merge="widen", monitor_interval=interval)
        scan = build_scan(self._format, self._paths, self._files, options)
        return FileSource(scan, self._paths, splits_files=self._splits_files, monitor_interval_ms=self._interval_ms)


def _check(method: str, options: Iterable[str], *of_format: str) -> None:
    """Raises ConfigurationError for an unknown option."""
    check_keywords(f"FileSource.{method}()", options, {*FileOptions.__annotations__, *of_format})


def _share(options: dict[str, Any]) -> tuple[FileOptions, dict[str, Any]]:
    """Options of all file sources, and those of the format."""
    of_files = {name: value for name, value in options.items() if name in FileOptions.__annotations__}
    return cast(FileOptions, of_files), {name: options[name] for name in options if name not in of_files}


def _through(file_format: FileFormat, files: FileSystem) -> FileFormat:
    """The format, which opens its files with this file system."""
    changed = copy.copy(file_format)
    changed.files = files
    return changed
