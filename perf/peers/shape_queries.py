"""What the queries over shapes share: names, constants, the columns that an ETL passes on. No imports.

All shapes name their columns alike, so that one query fits all: `id` (int64), `ts` (event time), `key` (what is grouped
by), `value` (a number), `text` (a string). `slim` has only the last three. What a shape has besides is in `EXTRA`.
"""

from __future__ import annotations

__all__ = ["EXTRA", "NESTED", "PATTERN", "QUERIES", "SLIM", "TOP", "WINDOW_SECONDS", "passed"]

QUERIES = ("etl", "copy", "aggregate", "distinct", "top_n", "like", "window")
"""etl: filter, project, add → Parquet; copy: filter, all columns → Parquet; aggregate: count, sum, max by key;
distinct: distinct texts; top_n: the greatest values of each key; like: texts that match, counted; window: count and sum
by key and window."""

SLIM = "slim"
NESTED = "nested"
MIN_VALUE = 60
"""The ETL keeps rows whose value is above it: 40 % of those that have a value."""

PATTERN = "%ab%"
TOP = 5
WINDOW_SECONDS = 10
ROLES = ("id", "ts", "key", "text")

EXTRA = {"wide_50": ("c003", "c044"), "wide_306": ("c003", "c150", "c300"), "wide_500": ("c003", "c250", "c494")}
"""What the ETL passes on besides, of the shapes that have more columns."""


def passed(shape: str) -> tuple[str, ...]:
    """The columns that an ETL passes on as they are."""
    if shape == SLIM:
        return ("key", "text")
    return (*ROLES, *EXTRA.get(shape, ()), *(("tags",) if shape == NESTED else ()))
