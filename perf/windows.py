"""Cases of windows: from files, against the engines that do it as one batch query; generated, against Flink.

`window_tumbling_*` count, sum and max by key in tumbling windows of 10 s, a streaming job over rows that are half a
second out of order, from Parquet; the others group the same files by key and bucket. `window_csv_*` the same from CSV,
against Flink SQL in streaming mode. The rest makes its rows itself and throws its results away: `window_generated_*`
tumbling windows, `window_sliding` windows of 10 s that begin every second, beside tumbling ones over the same rows,
`window_session` sessions that end after 5 s without a row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from perf.comparisons import AGGREGATED, Comparison, Target, compare
from perf.engines import Measured, missing, run_ours, run_peer
from perf.runner import Options, failed, judged

__all__ = ["CASES"]

JOB: Final = "perf/jobs/window_generated.py"
ROWS: Final = 20_000_000
SMOKE_ROWS: Final = 20_000
SECONDS: Final = 20  # of event time, as in the files
SPREAD_SECONDS: Final = 200  # each of 100 k keys has a row in every second: ten times the results where windows slide
SESSION_SECONDS: Final = 400  # each of 100 k keys has a row every two seconds: a tenth of the pauses end a session
SLIDING_CPU_MAX: Final = 3.0


def generated(case: str, windows: str, keys: int, seconds: int, at_least: float, options: Options) -> Iterator[Any]:
    """Ours and Flink's; the target is a multiple of Flink's."""
    arguments = [windows, str(keys), str(SMOKE_ROWS if options.smoke else ROWS), str(seconds)]
    flink = None
    if options.has_peers and not options.smoke and "flink" not in options.without:
        problem = missing("flink")
        if problem is None:
            try:
                flink = _flink(arguments, options)
            except RuntimeError as error:
                yield failed(case, error) | {"engine": "flink"}
        if flink is not None:
            yield _row(case, "flink", flink, arguments)
    ours = _ours(arguments, options)
    ratio = None if flink is None else flink.seconds / ours.seconds
    target = f">= {at_least:g} x Flink"
    verdict = judged(case, ratio, target, is_ok=lambda value: value >= at_least, smoke=options.smoke)
    yield _row(case, "shmflink", ours, arguments) | {key: verdict[key] for key in ("target", "value", "ok")}


def sliding(options: Options) -> Iterator[Any]:
    """Against Flink, and against tumbling windows over the same rows by the CPU of the TaskManagers."""
    rows = str(SMOKE_ROWS if options.smoke else ROWS)
    yield from generated("window_sliding", "sliding", 100_000, SPREAD_SECONDS, 15, options)
    used = {}
    for windows in ("tumbling", "sliding"):
        used[windows] = _ours([windows, "100000", rows, str(SPREAD_SECONDS)], options)
    cpu_s = {windows: run.query_cpu_s or run.cpu_s for windows, run in used.items()}
    yield judged(
        "window_sliding_cpu",
        cpu_s["sliding"] / cpu_s["tumbling"],
        f"<= {SLIDING_CPU_MAX:g} x the CPU of tumbling windows",
        is_ok=lambda value: value <= SLIDING_CPU_MAX,
        smoke=options.smoke,
        rows=int(rows),
        seconds=used["sliding"].seconds,
        tumbling_cpu_s=cpu_s["tumbling"],
        sliding_cpu_s=cpu_s["sliding"],
    )


def _ours(arguments: list[str], options: Options) -> Measured:
    return min((run_ours(JOB, arguments) for _ in range(options.rounds)), key=lambda run: run.seconds)


def _flink(arguments: list[str], options: Options) -> Measured:
    with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
        inputs, output = Path(folder, "-".join(arguments)), Path(folder, "none")
        runs = [run_peer("flink", "window_generated", inputs, output, is_warm=False) for _ in range(options.rounds)]
    return min(runs, key=lambda run: run.seconds)


def _row(case: str, engine: str, run: Measured, arguments: list[str]) -> dict[str, Any]:
    rows = int(arguments[2])
    return judged(
        case,
        None,
        "",
        is_ok=bool,
        smoke=True,
        engine=engine,
        rows=rows,
        seconds=run.seconds,
        rows_per_s=rows / run.seconds,
        cpu_s=run.cpu_s,
        query_cpu_s=run.query_cpu_s,
        peak_rss_mb=run.peak_mb,
        wall_s=run.wall_s,
    )


def _comparisons() -> Iterable[Comparison]:
    job = "perf/jobs/window_tumbling.py"
    for size, target in (("1k", 1.0), ("100k", 1.0), ("5m", 1.0)):
        what = f"10 s windows of event time by key ({size} of them), from Parquet"
        yield Comparison(
            f"window_tumbling_{size}",
            what,
            f"events_{size}",
            "aggregate_parquet",
            job,
            AGGREGATED,
            (Target(target),),
            is_in_smoke=size == "1k",
        )
    for size in ("1k", "100k", "5m"):
        what = f"10 s windows of event time by key ({size} of them), from CSV"
        targets = (Target(12, "flink"),)
        yield Comparison(
            f"window_csv_{size}", what, f"csv_{size}", "window_csv", job, AGGREGATED, targets, ("flink",), size == "1k"
        )


_KEYS: Final = {"1k": 1_000, "100k": 100_000, "5m": 5_000_000}

CASES = {
    **{one.name: partial(compare, one) for one in _comparisons()},
    **{
        f"window_generated_{size}": partial(generated, f"window_generated_{size}", "tumbling", keys, SECONDS, 15)
        for size, keys in _KEYS.items()
    },
    "window_sliding": sliding,
    "window_session": partial(generated, "window_session", "session", 100_000, SESSION_SECONDS, 8),
}
