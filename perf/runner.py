"""Runs cases and prints what they measured: a table for people, one JSON object a line for machines.

A case is a function from `Options` to dicts that have `KEYS`; a module of this package offers its cases in `CASES`. In
smoke mode a case does little and judges nothing but whether results are right.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from perf.data import cache_folder
from perf.process_tree import ProcessTree, TreeUsage

__all__ = [
    "REPEATS",
    "ROOT",
    "Case",
    "Finished",
    "Options",
    "best_of",
    "collect_cases",
    "failed",
    "judged",
    "print_json",
    "print_table",
    "run_process",
    "shmflink",
]

Case = Callable[["Options"], Iterable[Mapping[str, Any]]]

KEYS: Final = ("case", "rows", "seconds", "rows_per_s", "cpu_s", "peak_rss_mb", "target", "value", "ok")
SHOWN: Final = ("case", "engine", "value", "target", "ok")  # in columns of their own
REPEATS: Final = 3
WATCHDOG_SECONDS: Final = 600

ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `scale` multiplies the rows of the data sets, which are kept in `cache`."""

    smoke: bool = False
    has_peers: bool = False
    scale: float = 1.0
    repeats: int = REPEATS
    without: tuple[str, ...] = ()
    cache: Path = field(default_factory=cache_folder)

    @property
    def rounds(self) -> int:
        """How often each engine is measured."""
        return 1 if self.smoke else self.repeats


def collect_cases() -> dict[str, Case]:
    """All cases of all modules of this package, by name."""
    cases: dict[str, Case] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.ispkg and not module.name.startswith("_"):
            cases |= getattr(importlib.import_module(f"perf.{module.name}"), "CASES", {})
    return cases


def judged(
    case: str, value: float | None, target: str, *, is_ok: Callable[[float], bool], smoke: bool, **rest: Any
) -> dict[str, Any]:
    """A measurement with its verdict; `ok` is None in smoke mode. `target` says in words what `value` has to be."""
    measured: dict[str, Any] = dict.fromkeys(KEYS)
    measured |= {"case": case, "value": None if value is None else round(value, 3), "target": target}
    measured["ok"] = None if smoke or value is None else is_ok(value)
    return measured | {key: round(item, 4) if isinstance(item, float) else item for key, item in rest.items()}


def failed(case: str, error: Exception) -> dict[str, Any]:
    """A measurement that is none: its `ok` is False and `problem` has the error's last line."""
    problem = f"failed: {str(error).strip().splitlines()[-1]}"
    return {**judged(case, None, "", is_ok=bool, smoke=True, problem=problem), "ok": False}


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ended, with all its descendants (those that were waited for)."""

    wall_s: float
    cpu_s: float
    peak_rss_mb: float  # of the largest single process
    summary: dict[str, Any]  # of `shmflink run --json`; empty for other commands
    tree: TreeUsage = field(default_factory=TreeUsage)  # where it was watched

    @property
    def job_s(self) -> float:
        """How long the job ran, without the start of the cluster."""
        return float(self.summary["jobs"][0]["runtime_ms"]) / 1000


def shmflink(job: str, slots: int, *arguments: str, settings: Sequence[str] = (), is_watched: bool = False) -> Finished:
    """`shmflink run` on a job's file, in a process of its own. `is_watched`: the whole tree's memory is looked at."""
    command = str(Path(sys.executable).parent / "shmflink")
    options = [option for setting in settings for option in ("-D", setting)]
    with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
        summary = os.path.join(folder, "summary.json")
        run = [command, "run", str(ROOT / job), "--slots", str(slots), "--json", summary, *options, "--", *arguments]
        done = run_process(run, is_watched=is_watched)
        with open(summary, encoding="utf-8") as file:
            return Finished(done.wall_s, done.cpu_s, done.peak_rss_mb, json.load(file), done.tree)


def run_process(command: Sequence[str], *, is_watched: bool = False) -> Finished:
    """Runs a command to its end and measures it. Raises RuntimeError with its output where it fails."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=_environment())
        watchdog = _watch(process)
        tree = ProcessTree(process.pid) if is_watched else None
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        watched = tree.stop() if tree is not None else TreeUsage()
        watchdog()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output.read().decode()}")
    cpu_s = max(usage.ru_utime + usage.ru_stime, watched.cpu_s)  # a virtual machine that is not waited for counts, too
    return Finished(wall_s, cpu_s, usage.ru_maxrss / 1024, {}, watched)


def _environment() -> dict[str, str]:
    """Ours, without what makes Python compile all modules again at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def best_of(measure: Callable[[], Finished], smoke: bool, key: Callable[[Finished], float]) -> Finished:
    """The run with the smallest `key` of REPEATS, or of one in smoke mode."""
    return min((measure() for _ in range(1 if smoke else REPEATS)), key=key)


def print_json(measurements: Iterable[Mapping[str, Any]]) -> bool:
    """One JSON object a line, as they come. False where one missed its target."""
    passed = True
    for measured in measurements:
        print(json.dumps(measured), flush=True)
        passed &= measured["ok"] is not False
    return passed


def print_table(measurements: Iterable[Mapping[str, Any]]) -> bool:
    """One line each, as they come. False where one missed its target."""
    passed = True
    print(f"{'case':<28} {'value':>12}  {'target':<42} {'verdict':<8} more")
    for measured in measurements:
        verdict = {True: "ok", False: "MISSED", None: "-"}[measured["ok"]]
        rest = {key: item for key, item in measured.items() if key not in SHOWN}
        more = " ".join(f"{key}={_short(item)}" for key, item in rest.items() if item is not None)
        name = f"{measured['case']} {measured.get('engine', '')}"
        value = "-" if measured["value"] is None else _short(measured["value"])
        target = measured["target"] or f"{_short(measured['rows_per_s'] or 0.0)} rows/s"
        print(f"{name:<28} {value:>12}  {target:<42} {verdict:<8} {more}", flush=True)
        passed &= measured["ok"] is not False
    return passed


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _watch(process: subprocess.Popen[bytes]) -> Callable[[], None]:
    """Kills the process when it takes too long; the result ends the watch."""
    timer = threading.Timer(WATCHDOG_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    return timer.cancel
