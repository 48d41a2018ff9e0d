"""What an ETL of 20 M and of 100 M rows takes at its peak.

Counted is each TaskManager's anonymous and shared memory, above that of the process it was forked from: its imports.
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

DATA: Final = ("events_100k", "events_100m")
LIMIT_MB: Final = 200.0
SAME: Final = 1.15
"""The factor by which memory may grow for five times the rows: the kernel and the allocators are not exact."""


def memory(options: Options) -> Iterable[dict[str, Any]]:
    smaller: float | None = None
    for name in DATA:
        inputs = ensure(name, options.cache, options.scale, options.smoke)
        warm(inputs)
        output = options.cache / "output" / f"memory-{os.getpid()}"
        shutil.rmtree(output, ignore_errors=True)
        try:
            run = run_ours(COMPARISONS["etl_parquet"].job, [DATASETS[name].format, str(inputs), str(output)])
        finally:
            shutil.rmtree(output, ignore_errors=True)
        above_mb = largest_taskmanager_mb(run)
        limit = LIMIT_MB if smaller is None else min(LIMIT_MB, max(SAME * smaller, smaller + 10))
        target = f"< {limit:.0f} MiB a TaskManager above its imports" + (
            "" if smaller is None else ", as with 20 M rows"
        )
        rows = DATASETS[name].rows_at(options.scale, options.smoke)
        yield judged(
            "memory",
            above_mb,
            target,
            is_ok=limit.__gt__,
            smoke=options.smoke,
            rows=rows,
            seconds=run.seconds,
            rows_per_s=rows / run.seconds,
            cpu_s=run.cpu_s,
            peak_rss_mb=run.peak_mb,
            imports_mb=run.tree.forker_mb,
        )
        smaller = above_mb


def largest_taskmanager_mb(run: Measured) -> float:
    """The largest TaskManager's peak, without what the fork server had."""
    return max(run.tree.forked_mb.values(), default=0.0) - run.tree.forker_mb


CASES = {"memory": memory}
