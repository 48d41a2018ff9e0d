"""Reads CSV files, or ranges of them, as columns. The native core parses; this module selects files, ranges and
columns.

Records end at line ends outside quotes, and quoted fields may span several lines (`quoted_newlines`). Blank lines are
skipped, except in a file of one column, where they are nulls. Fields are compared with `null_values` if the column is a
number, a time or a boolean, or if the text is not quoted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa

from shmflink._core import CsvParser
from shmflink.connectors.base import Split
from shmflink.connectors.file_system.formats.csv.dialect import FALSE_VALUES, TRUE_VALUES, CsvDialect, ValueRules
from shmflink.connectors.file_system.formats.csv.head import CsvHead, read_head
from shmflink.connectors.file_system.formats.csv.inference import infer_csv_types
from shmflink.connectors.file_system.formats.text.parsed_records import ParsedRecordsFormat
from shmflink.connectors.file_system.reading.byte_streams import LineCounter, canonical_charset, open_text
from shmflink.connectors.file_system.reading.columns.declared import DeclaredSchema, explain_column
from shmflink.connectors.file_system.reading.malformed import MALFORMED_TAG, OnError, OnErrorPolicy
from shmflink.connectors.file_system.reading.record_cursor import RecordCursor, TextPart
from shmflink.connectors.file_system.reading.record_starts import csv_record_start
from shmflink.connectors.file_system.reading.splits import FileRange, compression_of
from shmflink.connectors.split_reader import SplitCursor
from shmflink.errors import ConfigurationError, DataFormatError

__all__ = ["CsvFormat"]


class CsvFormat(ParsedRecordsFormat):
    """*shmflink only.* CSV files as columns.

    - `schema`: the columns and their types; by default, both come from the files.
    - `delimiter`: one ASCII character, like `quote`, `escape` and `comment` (which begins lines to skip).
    - `quote`: None if quotes have no special meaning.
    - `escape`: makes the next character literal.
    - `double_quotes`: a quote inside quotes is written twice.
    - `quoted_newlines`: quoted text may span several lines.
    - `header`: the first record names the columns.
    - `column_names`: the names, in the files' order; a header is skipped. Without header and names: `f0`, `f1`, ...
    - `column_types`: types of some columns, instead of those inferred.
    - `skip_rows`: number of lines to skip at the start of each file.
    - `skip_data_rows`: number of records to skip after the header of each file.
    - `null_values`: fields that are null.
    - `true_values`: fields that are true, for boolean columns.
    - `false_values`: fields that are false.
    - `timestamp_formats`: formats of `strptime`, tried in this order before ISO 8601. Text without an offset is local
      time in the column's zone (`pa.timestamp("us", "Europe/Berlin")`), as in a cast; columns inferred from text with
      offsets are in UTC.
    - `decimal_point`: `.` or `,`.
    - `encoding`: the charset of the files. Files that are not UTF-8 are not split.
    - `infer_rows`: types are inferred from this many rows at the start of a file, from 1 MiB at most: int64, bool,
      uint64, a decimal of 38 digits for larger whole numbers (longer ones are strings), double, date, timestamp,
      string.
    - `on_error`: `fail` fails the job at a malformed row; `skip` skips the row; `side_output` sends it to the side
      output `malformed_tag`; `folder` writes it into `malformed_folder`, as JSON lines.
    """

    def __init__(
        self,
        schema: DeclaredSchema | None = None,
        *,
        delimiter: str = ",",
        quote: str | None = '"',
        escape: str | None = None,
        double_quotes: bool = True,
        quoted_newlines: bool = True,
        header: bool = True,
        column_names: Sequence[str] | None = None,
        column_types: Mapping[str, pa.DataType] | None = None,
        skip_rows: int = 0,
        skip_data_rows: int = 0,
        comment: str | None = None,
        null_values: Sequence[str] = ("",),
        true_values: Sequence[str] = TRUE_VALUES,
        false_values: Sequence[str] = FALSE_VALUES,
        timestamp_formats: Sequence[str] = (),
        decimal_point: str = ".",
        encoding: str = "utf-8",
        infer_rows: int = 10_000,
        on_error: OnError = "fail",
        malformed_folder: str | None = None,
        malformed_tag: str = MALFORMED_TAG,
    ) -> None:
        """Raises ConfigurationError for contradictory options."""
        if skip_rows < 0 or skip_data_rows < 0 or infer_rows < 1:
            raise ConfigurationError("CSV: skip_rows must not be negative and infer_rows must be positive")
        self._dialect = CsvDialect(delimiter, quote, escape, double_quotes, comment, quoted_newlines)
        self._rules = ValueRules(
            tuple(null_values), tuple(true_values), tuple(false_values), tuple(timestamp_formats), decimal_point
        )
        self._charset = canonical_charset(encoding)
        super().__init__(schema, OnErrorPolicy.chosen(on_error, malformed_tag, malformed_folder))
        self._head = CsvHead(header, None if column_names is None else tuple(column_names), skip_rows, skip_data_rows)
        if column_names is None and not header and self._declared is not None:
            self._head = replace(self._head, names=tuple(self._declared.names))
        self._types = dict(column_types or {})
        self._infer_rows = infer_rows
        self.is_splittable = self._charset in ("utf-8", "ascii") and (
            self._dialect.is_line_based or self._dialect.pairs_quotes
        )
        self._parser(self._declared or pa.schema([]), ())

    def open_split(self, split: Split) -> SplitCursor:
        part: FileRange = split.payload
        head = read_head(self.files, part.path, self._charset, self._head, self._dialect)
        schema = self.wanted.schema if self.wanted.schema is not None else self.infer_schema(part.path)
        _require_once(part.path, head.names, schema.names)
        if self.known is not None and head.names:
            self.known.check(part.path, head.names)
        start = self._start(part, head.end)
        end = None
        if not self._is_whole(part):
            end = part.offset + part.length
        text = TextPart(
            part.path,
            open_text(self.files, part.path, self._charset, start),
            start,
            end,
            LineCounter(self.files, part.path, self._charset),
            None if end is None else self._end_check(part, end, head.end),
        )
        parser = self._parser(schema, head.names)
        return RecordCursor(split, text, parser, self._malformed, self._explainer(schema), self._batch_type(schema))

    def infer_schema(self, path: str) -> pa.Schema:
        """The declared columns, or the header's names and the types of the first rows."""
        if self._declared is not None:
            return self._declared
        head = read_head(self.files, path, self._charset, self._head, self._dialect)
        if not head.names:
            return pa.schema([])  # the file holds no record
        _require_once(path, head.names, head.names)
        unknown = sorted(set(self._types) - set(head.names))
        if unknown:
            raise ConfigurationError(f"{path}: column_types: there is no column {unknown[0]!r} in {head.names}")
        types, rows = infer_csv_types(head, self._dialect, self._rules, self._infer_rows, self._types)
        self._inferred.update({name: rows for name in head.names if name not in self._types})
        schema = pa.schema(list(zip(head.names, types, strict=True)))
        self._parser(schema, ())  # raises if CSV cannot represent a type
        return schema

    def check(self, path: str) -> None:
        """Raises DataFormatError if the first file has no header, or an unreadable one."""
        self.names_of(path)

    def require_columns(self, paths: Sequence[str]) -> None:
        """Raises DataFormatError if none of these files has a declared column: its name is probably misspelled."""
        missing = dict.fromkeys(self._declared.names if self._declared else ())
        first: tuple[str, ...] = ()
        for path in paths:
            if not missing:
                return
            names = self.names_of(path)
            first = first or names
            for name in names:
                missing.pop(name, None)
        if missing and first:  # a file without records lacks no column
            shown = f"{first[:20]}"[1:-1]
            raise DataFormatError(f"{paths[0]}: there is no column {next(iter(missing))!r}; its columns are [{shown}]")

    def with_schema(self, schema: pa.Schema) -> Self:
        self._parser(schema, ())  # raises if CSV cannot represent a type
        return self.wanting(schema=schema)

    def names_of(self, path: str) -> tuple[str, ...]:
        """The names of a file's columns, in its order."""
        return read_head(self.files, path, self._charset, self._head, self._dialect).names

    def _wanted(self) -> pa.Schema:
        """The columns of batches."""
        schema = self.wanted.schema if self.wanted.schema is not None else self._declared
        assert schema is not None, "call with_schema() first: no columns were declared"
        return schema

    def _parsed(self, schema: pa.Schema) -> pa.Schema:
        """How the parser converts text for these columns."""
        return schema

    def _parser(self, schema: pa.Schema, names: Sequence[str]) -> CsvParser:
        places = {name: index for index, name in enumerate(names)}
        sources = [places.get(name, -1) for name in schema.names]
        return self._dialect.parser(self._parsed(schema), sources, len(names) or 1, self._rules)

    def _is_whole(self, part: FileRange) -> bool:
        """Whether a range of this file always covers the whole file: its size in bytes is not that of its text in
        UTF-8.
        """
        return compression_of(part.path) is not None or self._charset not in ("utf-8", "ascii")

    def _start(self, part: FileRange, head_end: int) -> int:
        """Where the first record of a range starts."""
        if part.position:
            return part.offset + part.position
        return max(head_end, self._record_start(part.path, part.offset) if part.offset else 0)

    def _record_start(self, path: str, position: int) -> int:
        file = self.files.open(path)
        try:
            return csv_record_start(file, position, self._dialect)
        finally:
            file.close()

    def _end_check(self, part: FileRange, end: int, head_end: int) -> Any:
        """A check that the reader of the next range starts where this one stopped."""

        def check(position: int) -> None:
            if self._dialect.is_line_based or not self.is_splittable:
                return
            following = max(head_end, self._record_start(part.path, end))
            if following != position:
                raise DataFormatError(
                    f"{part.path}: the quotes around byte {end} do not determine where records start "
                    f"(byte {position} or {following}); read the file in one piece (splits_files=False), or pass "
                    f"quoted_newlines=False if no quoted text spans several lines"
                )

        return check

    def _explainer(self, schema: pa.Schema) -> Callable[[int, str], str]:
        inferred = self._inferred

        def explain(column: int, reason: str) -> str:
            return reason if column < 0 else explain_column(schema.field(column).name, reason, inferred)

        return explain


def _require_once(path: str, names: Sequence[str], wanted: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    counts = Counter(names)
    twice = [name for name in wanted if counts[name] > 1]
    if twice:
        raise DataFormatError(f"{path}: two columns are named {twice[0]!r}; name them all with column_names=[...]")
