"""Case `slow_function`: how long a barrier waits behind a function of 25 ms a record, in the source's chain and behind
an exchange, aligned and unaligned.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from typing import Any

from perf.runner import Options, judged, shmflink

__all__ = ["CASES"]

WAYS = ("chain", "exchange")
MODES = ("aligned", "unaligned")


def slow_function(options: Options) -> Iterable[dict[str, Any]]:
    records = 60 if options.smoke else 400
    for way in WAYS:
        for mode in MODES:
            with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
                path = os.path.join(folder, "waits")
                done = shmflink("perf/jobs/slow_function.py", 1, str(records), way, mode, path)
                with open(path, encoding="ascii") as file:
                    waits = sorted(map(float, file))
            yield judged(
                "slow_function",
                waits[-1],
                f"ms, {way}, {mode}: at most 200",
                is_ok=lambda value: value <= 200,
                smoke=options.smoke,
                rows=records,
                seconds=done.job_s,
                rows_per_s=records / done.job_s,
                cpu_s=done.cpu_s,
                peak_rss_mb=done.peak_rss_mb,
                way=way,
                mode=mode,
                barriers=len(waits),
                p50_ms=waits[len(waits) // 2],
            )


CASES = {"slow_function": slow_function}
