"""Types of CSV columns from the first rows of a file: the first type that all their values have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from shmflink.connectors.file_system.formats.csv.dialect import CsvDialect, ValueRules
from shmflink.connectors.file_system.formats.csv.head import FileHead, read_records

__all__ = ["infer_csv_types"]

_TYPES: Final = {
    "null": pa.null(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "uint64": pa.uint64(),
    "decimal": pa.decimal128(38, 0),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[ns]": pa.timestamp("ns"),
    "timestamp[us, UTC]": pa.timestamp("us", "UTC"),
    "timestamp[ns, UTC]": pa.timestamp("ns", "UTC"),
    "string": pa.string(),
}
"""The types, in the order in which they are tried. Integers beyond int64 become uint64, a decimal of 38 digits, or
strings. Timestamps are in nanoseconds if microseconds would lose digits, and in UTC if a value has an offset.
"""


def infer_csv_types(
    head: FileHead, dialect: CsvDialect, rules: ValueRules, rows_max: int, known: Mapping[str, pa.DataType]
) -> tuple[list[pa.DataType], int]:
    """The type of each column (`known` types unchanged), and how many rows were examined."""
    parser = dialect.parser(pa.schema([]), [], len(head.names) or 1, rules)
    text, is_last = read_records(head, parser)
    rows, kinds = parser.infer(text, 0, len(text), is_last=is_last, max_rows=rows_max)
    return [known.get(name, _TYPES[kind]) for name, kind in zip(head.names, kinds, strict=True)], rows
