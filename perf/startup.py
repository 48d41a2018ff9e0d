"""Case `startup`: from the shell to the result and back, in new processes each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perf.runner import Finished, Options, best_of, judged, shmflink

__all__ = ["CASES"]

WORD_COUNT = "examples/word_count.py"


def startup(options: Options) -> Iterable[dict[str, Any]]:
    smoke = options.smoke
    done = best_of(lambda: shmflink(WORD_COUNT, 2), smoke, lambda run: run.wall_s)
    yield _measured("run to exit", done, done.wall_s, 1.5, 2, smoke)
    done = best_of(lambda: shmflink(WORD_COUNT, 2), smoke, _cluster_s)
    yield _measured("cluster start", done, _cluster_s(done), 0.5, 2, smoke)
    if not smoke:
        done = best_of(lambda: shmflink(WORD_COUNT, 32), smoke, _cluster_s)
        yield _measured("32 TaskManagers up", done, _cluster_s(done), 3.0, 32, smoke)


def _cluster_s(run: Finished) -> float:
    return float(run.summary["cluster_start_ms"]) / 1000


def _measured(what: str, done: Finished, seconds: float, limit: float, slots: int, smoke: bool) -> dict[str, Any]:
    return judged(
        "startup",
        seconds,
        f"{what}: less than {limit} s",
        is_ok=lambda value: value < limit,
        smoke=smoke,
        seconds=seconds,
        cpu_s=done.cpu_s,
        peak_rss_mb=done.peak_rss_mb,
        what=what,
        slots=slots,
        wall_s=done.wall_s,
    )


CASES = {"startup": startup}
