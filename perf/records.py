"""Case `records`: per-record Python functions, `map -> key_by -> reduce`, on two slots.

Beside it a plain Python loop that does the same in one process. In BATCH mode a reduce emits each key once, in
STREAMING mode every update; both are measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from perf.jobs.records import combine, key_of, to_pair
from perf.runner import Options, best_of, judged, shmflink

__all__ = ["CASES"]

SLOTS = 2


def records(options: Options) -> Iterable[dict[str, Any]]:
    smoke = options.smoke
    rows = 20_000 if smoke else 2_000_000
    for mode in ("BATCH", "STREAMING"):
        plain_s = min(plain_loop(rows, emits_updates=mode == "STREAMING") for _ in range(1 if smoke else 3))
        settings = (f"execution.runtime-mode={mode}",)
        done = best_of(
            partial(shmflink, "perf/jobs/records.py", SLOTS, str(rows), settings=settings),
            smoke,
            lambda run: run.job_s,
        )
        yield judged(
            "records",
            rows / done.job_s,
            "at least 1,000,000 records/s",
            is_ok=lambda value: value >= 1_000_000,
            smoke=smoke,
            rows=rows,
            seconds=done.job_s,
            rows_per_s=rows / done.job_s,
            cpu_s=done.cpu_s,
            peak_rss_mb=done.peak_rss_mb,
            mode=mode,
            slots=SLOTS,
            plain_loop_rows_per_s=rows / plain_s,
        )


def plain_loop(rows: int, *, emits_updates: bool) -> float:
    """Seconds of the same work in one process, with the same functions."""
    started = time.perf_counter()
    reduced: dict[int, tuple[int, int]] = {}
    updates = []
    for number in range(rows):
        pair = to_pair(number)
        key = key_of(pair)
        before = reduced.get(key)
        reduced[key] = now = pair if before is None else combine(before, pair)
        if emits_updates:
            updates.append(now)
            if len(updates) == 8192:
                updates.clear()
    return time.perf_counter() - started


CASES = {"records": records}
