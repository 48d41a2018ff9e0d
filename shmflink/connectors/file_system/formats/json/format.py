"""Reads JSON lines (one object per line) as columns. The native core parses; this module selects files, ranges and
columns.

Objects become structs, arrays lists. By default, a key that a line lacks is null, and keys that the schema lacks are
skipped. Text in a column declared as a number is read as a number; a string column accepts values of any kind, as their
JSON. Blank lines are skipped, and values of columns that are not read are not examined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self

import pyarrow as pa

from shmflink._core import JsonParser
from shmflink.connectors.base import Split
from shmflink.connectors.file_system.formats.json.inference import infer_json_schema
from shmflink.connectors.file_system.formats.text.parsed_records import ParsedRecordsFormat
from shmflink.connectors.file_system.reading.byte_streams import LineCounter, canonical_charset, open_text
from shmflink.connectors.file_system.reading.columns.declared import (
    DeclaredSchema,
    explain_column,
    explain_key,
)
from shmflink.connectors.file_system.reading.columns.wider_types import settled_type
from shmflink.connectors.file_system.reading.malformed import MALFORMED_TAG, OnError, OnErrorPolicy
from shmflink.connectors.file_system.reading.record_cursor import RecordCursor, TextPart
from shmflink.connectors.file_system.reading.record_starts import line_start
from shmflink.connectors.file_system.reading.splits import FileRange, compression_of
from shmflink.connectors.split_reader import SplitCursor
from shmflink.errors import ConfigurationError

__all__ = ["JsonLinesFormat"]

MissingKeys = Literal["null", "fail"]
ExtraKeys = Literal["ignore", "fail"]


class JsonLinesFormat(ParsedRecordsFormat):
    """*shmflink only.* Files with one JSON object per line, as columns."""

    def __init__(
        self,
        schema: DeclaredSchema | None = None,
        *,
        column_types: Mapping[str, pa.DataType] | None = None,
        missing_keys: MissingKeys = "null",
        extra_keys: ExtraKeys | None = None,
        timestamp_formats: Sequence[str] = (),
        encoding: str = "utf-8",
        infer_rows: int = 10_000,
        on_error: OnError = "fail",
        malformed_folder: str | None = None,
        malformed_tag: str = MALFORMED_TAG,
    ) -> None:
        """The options for reading the lines.

        Args:
            schema: the columns and their types; by default, both come from the first lines.
            column_types: types of some columns, instead of those inferred.
            missing_keys: if a line lacks a key, its value is `null`, or the line is malformed (`fail`).
            extra_keys: a key that is not a column is skipped (`ignore`, the default if columns are declared or
                chosen), or makes the line malformed (`fail`, the default if columns are inferred, so that a key that
                appears late is not dropped silently).
            timestamp_formats: formats of `strptime`, tried in this order before ISO 8601. Text without an offset is
                local time in the column's zone, as in a cast; keys inferred from text with offsets are in UTC.
            encoding: the charset of the files. Files that are not UTF-8 are not split.
            infer_rows: types are inferred from this many lines at the start of a file, from 1 MiB at most. Whole
                numbers beyond int64 are uint64, decimals of 38 digits, or strings.
            on_error: as in `CsvFormat`.
            malformed_folder: for `on_error="folder"`.
            malformed_tag: for `on_error="side_output"`.

        Raises:
            ConfigurationError: contradictory options.
        """
        if missing_keys not in ("null", "fail") or extra_keys not in (None, "ignore", "fail"):
            raise ConfigurationError(
                "JSON lines: missing_keys must be 'null' or 'fail', extra_keys must be 'ignore' or 'fail'"
            )
        if infer_rows < 1:
            raise ConfigurationError("JSON lines: infer_rows must be positive")
        self._charset = canonical_charset(encoding)
        super().__init__(schema, OnErrorPolicy.chosen(on_error, malformed_tag, malformed_folder))
        self._types = dict(column_types or {})
        self._missing_fails = missing_keys == "fail"
        self._extra_keys = extra_keys
        self._timestamp_formats = tuple(timestamp_formats)
        self._infer_rows = infer_rows
        self.is_splittable = self._charset in ("utf-8", "ascii")
        self._parser(self._declared or pa.schema([]))

    def open_split(self, split: Split) -> SplitCursor:
        part: FileRange = split.payload
        schema = self.wanted.schema
        if schema is None:
            inferred = self.infer_schema(part.path)
            schema = pa.schema([field.with_type(settled_type(field.type)) for field in inferred])
        start = self._start(part)
        is_whole = compression_of(part.path) is not None or not self.is_splittable
        text = TextPart(
            part.path,
            open_text(self.files, part.path, self._charset, start),
            start,
            None if is_whole else part.offset + part.length,
            LineCounter(self.files, part.path, self._charset),
        )
        parser = self._parser(schema)
        return RecordCursor(split, text, parser, self._malformed, self._explainer(schema), self._batch_type(schema))

    def infer_schema(self, path: str) -> pa.Schema:
        """The declared columns, or the keys of the first lines and the types of their values."""
        if self._declared is not None:
            return self._declared
        schema, rows = infer_json_schema(self.files, path, self._charset, self._infer_rows, self._types)
        self._inferred.update({name: rows for name in schema.names if name not in self._types})
        self._parser(schema)  # raises if JSON cannot represent a type
        return schema

    def with_schema(self, schema: pa.Schema) -> Self:
        self._parser(schema)  # raises if JSON cannot represent a type
        return self.wanting(schema=schema, all_columns=self.wanted.all_columns or schema)

    def _start(self, part: FileRange) -> int:
        """Where the first line of a range starts."""
        if part.position or not part.offset:
            return part.offset + part.position
        file = self.files.open(part.path)
        try:
            return line_start(file, part.offset, only_lf=True)
        finally:
            file.close()

    def _parser(self, schema: pa.Schema) -> JsonParser:
        fails = self._extra_keys == "fail" or (self._extra_keys is None and self.known is not None)
        known = list((self._declared or self.wanted.all_columns or schema).names) if fails else []
        known += self.known.names if fails and self.known is not None else []
        try:
            return JsonParser(
                schema,
                missing_fails=self._missing_fails,
                extra_fails=fails,
                known_keys=known,
                timestamp_formats=list(self._timestamp_formats),
            )
        except ValueError as error:
            raise ConfigurationError(f"JSON lines: {error}") from None

    def _explainer(self, schema: pa.Schema) -> Callable[[int, str], str]:
        inferred, is_chosen = self._inferred, self._extra_keys == "fail"

        def explain(column: int, reason: str) -> str:
            if not is_chosen:
                reason = explain_key(reason, inferred)
            return reason if column < 0 else explain_column(schema.field(column).name, reason, inferred)

        return explain
