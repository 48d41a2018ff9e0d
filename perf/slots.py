"""CPU seconds of a shuffled keyed aggregate on 16 slots against 2, without those of starting them.

Over 100 M rows: what each of 16 processes touches for the first time (decoder buffers, tables, segments; some 40 MB) is
paid once, however long a job runs, and would be most of a job of a second.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import Any, Final

from perf.comparisons import COMPARISONS
from perf.data import DATASETS, ensure, warm
from perf.engines import Measured, run_ours
from perf.runner import Options, judged

__all__ = ["CASES"]

CASE: Final = COMPARISONS["aggregate_100k"]
DATASET: Final = "events_100m"
FEW: Final = 2
MANY: Final = 16


def slots(options: Options) -> Iterable[dict[str, Any]]:
    runs: dict[tuple[int, bool], list[Measured]] = {}
    for _ in range(options.rounds):
        for count in (FEW, MANY):
            for is_start_only in (True, False):
                runs.setdefault((count, is_start_only), []).append(_run(count, is_start_only, options))
    rows = DATASETS[DATASET].rows_at(options.scale, options.smoke)
    at_few: float | None = None
    for count in (FEW, MANY):
        full, start = (min(one.cpu_s for one in runs[count, is_start]) for is_start in (False, True))
        cpu_s = max(full - start, 1e-3)
        best = min(runs[count, False], key=lambda run: run.seconds)
        ratio = None if at_few is None else cpu_s / at_few
        yield judged(
            "slots",
            cpu_s if ratio is None else ratio,
            f"CPU seconds on {count} slots" if ratio is None else f"<= 1.15 x the CPU seconds of {FEW} slots",
            is_ok=lambda value: value <= 1.15,
            smoke=options.smoke or ratio is None,
            rows=rows,
            seconds=best.seconds,
            rows_per_s=rows / best.seconds,
            cpu_s=full,
            peak_rss_mb=best.peak_mb,
            slots=count,
            start_cpu_s=start,
        )
        at_few = cpu_s


def _run(count: int, is_start_only: bool, options: Options) -> Measured:
    """One run on all rows, or on the smoke mode's few."""
    inputs = ensure(DATASET, options.cache, options.scale, options.smoke or is_start_only)
    warm(inputs)
    output = options.cache / "output" / f"slots-{os.getpid()}"
    shutil.rmtree(output, ignore_errors=True)
    try:
        return run_ours(CASE.job, [DATASETS[DATASET].format, str(inputs), str(output)], count)
    finally:
        shutil.rmtree(output, ignore_errors=True)


CASES = {"slots": slots}
