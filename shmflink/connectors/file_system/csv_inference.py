"""Types of CSV columns from the first rows of a file: the first type that all their values have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from shmflink.connectors.file_system.csv_dialect import CsvDialect, ValueRules
from shmflink.connectors.file_system.csv_head import SAMPLE_BYTES, FileHead, read_sample

__all__ = ["infer_csv_types"]

_FEW_ROWS: Final = 64
_CANDIDATES: Final = (pa.null(), pa.int64(), pa.bool_(), pa.float64(), pa.date32(), pa.timestamp("us"))
_OFFSET: Final = re.compile(r"\d[ T]\d\d:\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$")
_NANOSECONDS: Final = re.compile(r"\.\d{7,9}")


def infer_csv_types(
    head: FileHead, dialect: CsvDialect, rules: ValueRules, rows_max: int, known: Mapping[str, pa.DataType]
) -> tuple[list[pa.DataType], int]:
    """The type of each column, `known` ones as they are, and how many rows were looked at."""
    text = read_sample(head.files, head.path, head.charset, SAMPLE_BYTES, head.end)
    is_last = len(text) < SAMPLE_BYTES
    fields = len(head.names) or 1

    def fits(column: int, kind: pa.DataType, rows: int) -> pa.RecordBatch | None:
        """The column's values, if all of them in so many rows are of this type."""
        parser = dialect.parser(pa.schema([(head.names[column], kind)]), [column], fields, rules)
        batch, _, bad = parser.parse(text, 0, len(text), limit=len(text), is_last=is_last, max_rows=rows)
        return None if any(place >= 0 for _, _, place, _ in bad) else batch

    def infer(column: int) -> pa.DataType:
        for kind in _CANDIDATES:
            # Most types are ruled out by few rows.
            if fits(column, kind, min(_FEW_ROWS, rows_max)) is not None and fits(column, kind, rows_max) is not None:
                return _timestamp(fits(column, pa.string(), rows_max)) if pa.types.is_timestamp(kind) else kind
        return pa.string()

    parser = dialect.parser(pa.schema([]), [], fields, rules)
    rows = parser.parse(text, 0, len(text), limit=len(text), is_last=is_last, max_rows=rows_max)[0].num_rows
    types = [known[name] if name in known else infer(column) for column, name in enumerate(head.names)]
    return types, rows


def _timestamp(values: pa.RecordBatch | None) -> pa.DataType:
    """In nanoseconds where microseconds would lose digits, in UTC where a value has an offset."""
    texts = [] if values is None else [text for text in values.column(0).to_pylist() if text]
    unit = "ns" if any(_NANOSECONDS.search(text) for text in texts) else "us"
    return pa.timestamp(unit, "UTC" if any(_OFFSET.search(text) for text in texts) else None)
