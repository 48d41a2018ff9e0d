"""Chooses the folder under the base path for each record (PyFlink: BucketAssigner)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from shmflink.connectors.file_system.writing.partition_columns import (
    Partitions,
    TextOfColumn,
    TextOfTime,
    ValuesOfColumn,
    without_columns,
)
from shmflink.connectors.file_system.writing.time_pattern import TimePattern
from shmflink.errors import ConfigurationError

__all__ = ["BucketAssigner", "DateTimeBuckets", "partition_assigner"]


class BucketAssigner:
    """Names the bucket of a record or batch. The base path is the bucket with the empty name. Picklable."""

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """Puts everything into the base path itself."""
        return BucketAssigner()

    @staticmethod
    def date_time_bucket_assigner(format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None) -> BucketAssigner:
        """One folder per hour (by default) of processing time.

        `format_str` is a pattern of Java's DateTimeFormatter.

        Raises:
            ConfigurationError: an unknown pattern letter or time zone.
        """
        return DateTimeBuckets(format_str, timezone_id)

    @staticmethod
    def column_bucket_assigner(*columns: str, keep_columns: bool = False) -> BucketAssigner:
        """*shmflink only.* One folder per combination of values, Hive style: ``country=DE/day=2024-02-29``.

        Special characters are percent-encoded, null is ``__HIVE_DEFAULT_PARTITION__``. The files omit these columns
        unless `keep_columns`.
        """
        if not columns:
            raise ConfigurationError("column_bucket_assigner() needs at least one column")
        return _ColumnBuckets([ValuesOfColumn(column) for column in columns], () if keep_columns else columns)

    @staticmethod
    def timestamp_bucket_assigner(
        column: str, format_str: str = "yyyy-MM-dd--HH", timezone_id: str = "UTC", name: str | None = None
    ) -> BucketAssigner:
        """*shmflink only.* One folder per hour (by default) of a column of timestamps or dates.

        With a `name`, Hive style: ``name=2024-02-29--12``. Null is ``__HIVE_DEFAULT_PARTITION__``. Timestamps without a
        zone are used unchanged.

        Raises:
            ConfigurationError: an unknown pattern letter or time zone.
        """
        return _ColumnBuckets([TextOfTime(column, format_str, timezone_id, name)], ())

    @property
    def is_by_value(self) -> bool:
        """True if rows of one batch may go into several buckets; then `split` is called, otherwise `bucket_of`."""
        return False

    def bucket_of(self, now_ms: int) -> str:
        """The path of the bucket, relative to the base path, at this processing time."""
        return ""

    def split(self, rows: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The rows by bucket, each bucket once, its rows in order and in their own memory."""
        yield "", rows

    def strip(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows without the columns that are in the folders' names."""
        return rows


class DateTimeBuckets(BucketAssigner):
    """Made by `BucketAssigner.date_time_bucket_assigner`."""

    def __init__(self, pattern: str, timezone_id: str | None) -> None:
        self.format_str = pattern
        self.timezone_id = timezone_id
        self._pattern = TimePattern(pattern, timezone_id)
        self._last: tuple[int, str] = (-1, "")

    def bucket_of(self, now_ms: int) -> str:
        second = now_ms // 1000
        if self._last[0] != second:
            self._last = (second, self._pattern.text(second))
        return self._last[1]


class _ColumnBuckets(BucketAssigner):
    def __init__(self, texts: Sequence[TextOfColumn], left_out: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self.left_out = tuple(left_out)
        self._partitions = Partitions(self.texts)

    @property
    def is_by_value(self) -> bool:
        return True

    def split(self, rows: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        return self._partitions.split(rows)

    def strip(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return without_columns(rows, self.left_out)


def partition_assigner(
    partition_by: str | BucketAssigner | Sequence[str | BucketAssigner], *, keep_columns: bool
) -> BucketAssigner:
    """One assigner for nested folders, from column names and from assigners that use a column.

    Raises:
        ConfigurationError: several steps, one of which does not use a column.
    """
    steps = [partition_by] if isinstance(partition_by, str | BucketAssigner) else list(partition_by)
    if not steps:
        return BucketAssigner.base_path_bucket_assigner()
    if len(steps) == 1 and isinstance(steps[0], BucketAssigner):
        return steps[0]
    texts: list[TextOfColumn] = []
    left_out: list[str] = []
    for step in steps:
        if isinstance(step, str):
            texts.append(ValuesOfColumn(step))
            left_out += () if keep_columns else (step,)
        elif isinstance(step, _ColumnBuckets):
            texts += step.texts
            left_out += step.left_out
        else:
            raise ConfigurationError(
                f"partition_by: {type(step).__name__.strip('_')} uses no column, so it cannot be combined with others"
            )
    return _ColumnBuckets(texts, left_out)
