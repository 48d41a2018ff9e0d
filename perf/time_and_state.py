"""Cases of per-record functions with state, and of latency.

`keyed_process`: a KeyedProcessFunction with a ValueState on two slots, beside the same function called in a plain loop
of one process. `latency`: from the source to the sink, through one shuffle and a running count by key.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from perf.jobs.keyed_process import RunningSum, rows
from perf.runner import Options, best_of, judged, shmflink

__all__ = ["CASES"]

SLOTS = 2
BATCH_ROWS = 8192


class _PlainState:
    """One value for each key of a dict: what a plain program would have."""

    def __init__(self) -> None:
        self.values: dict[int, tuple[int, int]] = {}
        self.key = 0

    def value(self) -> tuple[int, int] | None:
        return self.values.get(self.key)

    def update(self, value: tuple[int, int]) -> None:
        self.values[self.key] = value


def plain_loop(count: int) -> float:
    """Seconds of the same function over the same rows, in one process, without an engine."""
    started = time.perf_counter()
    function = RunningSum()
    function.state = state = _PlainState()
    results = []
    for start in range(0, count, BATCH_ROWS):
        for row in rows(start, min(start + BATCH_ROWS, count)):
            state.key = row[0]
            results.extend(function.process_element(row, None))
        results.clear()
    return time.perf_counter() - started


def keyed_process(options: Options) -> Iterable[dict[str, Any]]:
    count = 20_000 if options.smoke else 2_000_000
    plain_s = min(plain_loop(count) for _ in range(1 if options.smoke else 3))
    done = best_of(
        partial(shmflink, "perf/jobs/keyed_process.py", SLOTS, str(count)), options.smoke, lambda run: run.job_s
    )
    ratio = plain_s / done.job_s
    yield judged(
        "keyed_process",
        ratio,
        "at least 0.6 x a plain loop, and 0.6 M records/s",
        is_ok=lambda value: value >= 0.6 and count / done.job_s >= 600_000,
        smoke=options.smoke,
        rows=count,
        seconds=done.job_s,
        rows_per_s=count / done.job_s,
        cpu_s=done.cpu_s,
        peak_rss_mb=done.peak_rss_mb,
        slots=SLOTS,
        plain_loop_rows_per_s=count / plain_s,
    )


def latency(options: Options) -> Iterable[dict[str, Any]]:
    events, rate = (5_000, 50_000) if options.smoke else (500_000, 50_000)
    for _ in range(1 if options.smoke else 3):
        with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
            path = os.path.join(folder, "latency.json")
            done = shmflink("perf/jobs/latency.py", SLOTS, str(events), str(rate), path)
            micros = _counts(path)
        p50, p99 = _quantile(micros, 0.5), _quantile(micros, 0.99)
        yield judged(
            "latency",
            p50 / 1000,
            "ms; p50 at most 1, p99 at most 5",
            is_ok=lambda value, p99=p99: value <= 1 and p99 <= 5000,
            smoke=options.smoke,
            rows=events,
            seconds=done.job_s,
            rows_per_s=events / done.job_s,
            cpu_s=done.cpu_s,
            peak_rss_mb=done.peak_rss_mb,
            slots=SLOTS,
            p99_ms=p99 / 1000,
            p999_ms=_quantile(micros, 0.999) / 1000,
        )


def _counts(path: str) -> Counter[int]:
    counts: Counter[int] = Counter()
    with open(path, encoding="ascii") as file:
        for line in file:
            for micros, events in json.loads(line):
                counts[micros] += events
    return counts


def _quantile(counts: Counter[int], share: float) -> int:
    wanted, seen = share * counts.total(), 0
    for micros in sorted(counts):
        seen += counts[micros]
        if seen >= wanted:
            return micros
    raise AssertionError("no events were counted")


CASES = {"keyed_process": keyed_process, "latency": latency}
