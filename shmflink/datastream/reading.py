"""Streams of columns: files, tables at hand, rows that a function makes. All of it *shmflink only*."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from shmflink.datastream.argument_checks import check_data, check_frame
from shmflink.errors import TypeMismatchError

if TYPE_CHECKING:
    from shmflink.connectors.base import Source
    from shmflink.connectors.file_system.reading.scan_building import Paths
    from shmflink.core.types.typeinfo import TypeInformation
    from shmflink.core.watermark_strategy import WatermarkStrategy

__all__ = ["ReadMethods", "S"]

S = TypeVar("S")
"""The class of streams: DataStream."""


class ReadMethods(Generic[S]):
    """Part of `StreamExecutionEnvironment`.

    `paths` are files, folders, globs or URIs; `options` are those of the method of the same name of `FileSource`.
    """

    @abstractmethod
    def _source(
        self,
        source: Source,
        name: str,
        type_info: TypeInformation | None,
        watermark_strategy: WatermarkStrategy | None = None,
    ) -> S:
        """Records a source."""

    def read_parquet(self, paths: Paths, **options: Any) -> S:
        """*shmflink only.* Parquet files. Columns that nobody uses and rows that a filter drops are not read."""
        return self._files("Parquet", "parquet", paths, options)

    def read_csv(self, paths: Paths, **options: Any) -> S:
        """*shmflink only.* CSV files; the types are those of `schema=`, else inferred from a sample."""
        return self._files("CSV", "csv", paths, options)

    def read_json_lines(self, paths: Paths, **options: Any) -> S:
        """*shmflink only.* Files with a JSON object in each line; types as for CSV."""
        return self._files("JSON lines", "json_lines", paths, options)

    def read_text(self, paths: Paths, **options: Any) -> S:
        """*shmflink only.* Text files, a row for each line."""
        return self._files("Text", "text", paths, options)

    def read_ipc(self, paths: Paths, **options: Any) -> S:
        """*shmflink only.* Arrow IPC files and streams (Feather)."""
        return self._files("Arrow IPC", "ipc", paths, options)

    def read_orc(self, paths: Paths, **options: Any) -> S:
        """*shmflink only.* ORC files."""
        return self._files("ORC", "orc", paths, options)

    def from_arrow(self, data: pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch]) -> S:
        """*shmflink only.* The rows of a table, a record batch or several. They travel with the job."""
        from shmflink.connectors.arrow_tables import ArrowSource

        return self._source_of(ArrowSource(_table(data)), "Arrow table")

    def from_pandas(self, frame: Any) -> S:
        """*shmflink only.* The rows of a `pandas.DataFrame`, without its index."""
        from shmflink.connectors.arrow_tables import ArrowSource

        check_frame(frame, "pandas", "from_pandas")
        return self._source_of(ArrowSource(pa.Table.from_pandas(frame, preserve_index=False)), "pandas frame")

    def from_polars(self, frame: Any) -> S:
        """*shmflink only.* The rows of a `polars.DataFrame`.

        Views, categories and enumerations are strings; integers of 128 bits are decimals of 38 digits.

        Raises:
            TypeMismatchError: a column has a type that Arrow lacks, or an integer more digits; names the column.
        """
        from shmflink.connectors.arrow_tables import ArrowSource, table_of_polars

        check_frame(frame, "polars", "from_polars")
        return self._source_of(ArrowSource(table_of_polars(frame)), "Polars frame")

    def generate(
        self,
        function: Callable[[int, int], pa.RecordBatch | list[Any]],
        rows: int | None = None,
        *,
        schema: pa.Schema | TypeInformation | None = None,
        rows_per_second: float | None = None,
        batch_rows: int | None = None,
    ) -> S:
        """*shmflink only.* Rows that `function(start, stop)` makes: the `start`th to the one before `stop`.

        It returns a RecordBatch, or a list, with exactly these rows, and depends on nothing else. Without `rows` it
        never ends. Without `schema` it is asked for the rows [0, 0) at once, to learn the columns.
        """
        from shmflink.connectors.generator import GeneratorSource

        source = GeneratorSource(function, rows, schema, batch_rows=batch_rows, rows_per_second=rows_per_second)
        return self._source_of(source, "Generator")

    def socket_text_stream(self, host: str, port: int, delimiter: str = "\n", max_retries: int = 0) -> S:
        """*shmflink only.* Records of text that a TCP server sends, at most once; arguments as of `SocketTextSource`.

        Flink's `socketTextStream`, which PyFlink lacks.
        """
        from shmflink.connectors.sockets.text import SocketTextSource

        return self._source_of(SocketTextSource(host, port, delimiter, max_retries), "Socket Stream")

    def _files(self, kind: str, method: str, paths: Paths, options: dict[str, Any]) -> S:
        from shmflink.connectors.file_system.reading.scan_building import paths_of
        from shmflink.connectors.file_system.reading.source import FileSource

        given = paths_of(paths)
        source: Source = getattr(FileSource, method)(given, **options)
        shown = os.path.basename(os.fspath(given[0]).rstrip("/"))
        more = f" and {len(given) - 1} more" if len(given) > 1 else ""
        return self._source_of(source, f"{kind} {shown}{more}")

    def _source_of(self, source: Source, name: str) -> S:
        return self._source(source, name, source.produced_type)


def _table(data: Any) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    check_data(data, "from_arrow")
    batches = list(data)
    if not batches or not all(isinstance(batch, pa.RecordBatch) for batch in batches):
        raise TypeMismatchError(f"from_arrow() takes a Table, or at least one RecordBatch, got {data!r:.120}")
    return pa.Table.from_batches(batches)
