"""Case `slots_exchange`: CPU seconds per million rows of a bare columnar shuffle at 1, 2, 4, 8 and 16 slots.

Each figure is the difference between a long and a short job, divided by the difference in rows, so that starting the
processes does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perf.runner import Finished, Options, best_of, judged, shmflink

__all__ = ["CASES"]

SLOTS = (1, 2, 4, 8, 16)
BASELINE = 2


def slots_exchange(options: Options) -> Iterable[dict[str, Any]]:
    smoke = options.smoke
    short, long = (20_000, 40_000) if smoke else (20_000_000, 220_000_000)
    at_baseline: float | None = None
    for count in SLOTS[:2] if smoke else SLOTS:
        runs = {rows: _best(count, rows, smoke) for rows in (short, long)}
        cpu_s = (runs[long].cpu_s - runs[short].cpu_s) / ((long - short) / 1e6)
        at_baseline = cpu_s if count == BASELINE else at_baseline
        is_last = count == SLOTS[-1]
        target = f"at most 1.25 x {BASELINE} slots" if is_last else "CPU seconds per million rows"
        limit = 1.25 * at_baseline if is_last and at_baseline is not None else float("inf")
        yield judged(
            "slots_exchange",
            cpu_s,
            target,
            is_ok=limit.__ge__,
            smoke=smoke or not is_last,
            rows=long,
            seconds=runs[long].job_s,
            rows_per_s=long / runs[long].job_s,
            cpu_s=runs[long].cpu_s,
            peak_rss_mb=runs[long].peak_rss_mb,
            slots=count,
            ratio=None if at_baseline is None else cpu_s / at_baseline,
        )


def _best(count: int, rows: int, smoke: bool) -> Finished:
    return best_of(lambda: shmflink("perf/jobs/shuffle.py", count, str(rows)), smoke, lambda run: run.cpu_s)


CASES = {"slots_exchange": slots_exchange}
