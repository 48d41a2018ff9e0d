"""Constants that all engines' queries share. No imports: Flink's environment reads this module, too."""

from __future__ import annotations

__all__ = ["BUCKET_MS", "COLUMNS", "MIN_PRICE", "MIN_WIDE", "THREADS", "WIDE_USED"]

THREADS = 2
BUCKET_MS = 10_000
MIN_PRICE = 30.0
"""The ETL keeps rows whose price is above it: 70 %."""

COLUMNS = ("id", "ts", "key", "price", "quantity", "name")
WIDE_USED = ("c003", "c100", "c199")
MIN_WIDE = 32
"""The wide case keeps rows whose c100 is at least this: half of them."""
