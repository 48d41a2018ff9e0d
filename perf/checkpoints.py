"""Cases of checkpoints: what they cost, and how long a job stands still when a TaskManager dies.

`checkpoint_cost`: windows over 100 k keys on two slots, with a checkpoint every second and without, in turns; the share
of the throughput that is lost. `recovery`: a TaskManager of a job with 100 k keys of state is killed again and again;
from there to the first output of the next attempt. Its stages are told as the client sees them: until the job is
failing, is restarting, runs again, and has put something out.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from perf.jobs import recovery as recovery_job
from perf.runner import Options, judged, shmflink
from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor

__all__ = ["CASES"]

JOB: Final = "perf/jobs/window_generated.py"
KEYS: Final = 100_000
ROWS: Final = 300_000_000  # some seconds: several checkpoints in each run
SMOKE_ROWS: Final = 200_000
SECONDS: Final = 100  # of event time
COST_MAX: Final = 0.03
SLOTS: Final = 2

KILLS: Final = 15
ROWS_PER_S: Final = 400_000
RECOVERY_MS_MAX: Final = 500
_WATCHDOG_S: Final = 60.0
_POLL_S: Final = 0.0005
_STAGES: Final = ("FAILING", "RESTARTING", "RUNNING")


def checkpoint_cost(options: Options) -> Iterator[dict[str, Any]]:
    """The medians of runs with and without are compared: each pair has the same other work beside it, or nearly."""
    rows = SMOKE_ROWS if options.smoke else int(ROWS * options.scale)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    cpu: dict[bool, list[float]] = {False: [], True: []}
    checkpoints = 0
    for _ in range(1 if options.smoke else max(5, options.repeats)):
        for has_checkpoints in (False, True):
            done = _windows(rows, has_checkpoints)
            seconds[has_checkpoints].append(done.job_s)
            cpu[has_checkpoints].append(done.tree.forked_cpu_s)
            checkpoints = max(checkpoints, _completed(done.summary))
    lost = _lost(seconds)
    best = min(seconds[True])
    yield judged(
        "checkpoint_cost",
        lost,
        f"< {COST_MAX:g} of the throughput",
        is_ok=lambda value: value < COST_MAX,
        smoke=options.smoke,
        rows=rows,
        seconds=best,
        rows_per_s=rows / best,
        best_lost=1 - min(seconds[False]) / best,
        cpu_lost=_lost(cpu),
        query_cpu_s=min(cpu[True]),
        checkpoints=checkpoints,
    )


def _lost(pairs: dict[bool, list[float]]) -> float:
    """Median over the pairs; where a machine has other work, that of CPU seconds says more than that of time."""
    return 1 - statistics.median(a / b for a, b in zip(pairs[False], pairs[True], strict=True) if b)


def _windows(rows: int, has_checkpoints: bool) -> Any:
    with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
        every = ("execution.checkpointing.interval=1 s", f"execution.checkpointing.dir={folder}")
        arguments = ("tumbling", str(KEYS), str(rows), str(SECONDS))
        return shmflink(JOB, SLOTS, *arguments, settings=every if has_checkpoints else (), is_watched=True)


def _completed(summary: dict[str, Any]) -> int:
    told = summary["jobs"][0].get("checkpoints") or {}
    return int(told.get("completed", 0))


def recovery(options: Options) -> Iterator[dict[str, Any]]:
    """Kills one TaskManager after the other, each after two more checkpoints."""
    with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
        checkpoints, marks = os.path.join(folder, "checkpoints"), os.path.join(folder, "marks")
        os.mkdir(marks)
        settings = {
            "cluster.slots": str(SLOTS),
            "execution.checkpointing.interval": "200 ms" if options.smoke else "1 s",
            "execution.checkpointing.dir": checkpoints,
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": str(2**31 - 1),
            "restart-strategy.fixed-delay.delay": "100 ms",  # as the default strategy has it after a first failure
        }
        with EmbeddedCluster(settings) as cluster, use_executor(cluster):
            client = recovery_job.follow(marks, ROWS_PER_S)
            measured = []
            for number in range(1 if options.smoke else KILLS):
                _wait(lambda number=number: _newest(checkpoints) >= 2 + 3 * number, "a checkpoint")  # type: ignore[misc]
                measured.append(_kill_one(cluster.fork_server_pid, client, marks))
            client.cancel().result()
    times = sorted(one["ms"] for one in measured)
    stages = {f"{stage.lower()}_ms": statistics.median(one[stage] for one in measured) for stage in _STAGES}
    yield judged(
        "recovery",
        statistics.median(times),
        f"< {RECOVERY_MS_MAX} ms",
        is_ok=lambda value: value < RECOVERY_MS_MAX,
        smoke=options.smoke,
        kills=len(times),
        best_ms=times[0],
        p90_ms=times[int(len(times) * 0.9)],
        **stages,
    )


def _kill_one(fork_server: int, client: Any, marks: str) -> dict[str, float]:
    """Milliseconds from the kill to each stage and to the first output that is no older attempt's."""
    with open(f"/proc/{fork_server}/task/{fork_server}/children") as file:
        victim = int(file.read().split()[0])
    known = len(recovery_job.marks(marks))
    stages: dict[str, float] = {}
    began = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)

    def has_output() -> bool:
        status = client.get_job_status().result().name
        if status != "RUNNING" or stages:  # before the failure is known it is RUNNING, too
            stages.setdefault(status, (time.monotonic_ns() - began) / 1e6)
        return len(recovery_job.marks(marks)) > known

    _wait(has_output, "an output after the kill")
    first = recovery_job.marks(marks)[known]
    told = {stage: stages.get(stage, 0.0) for stage in _STAGES}
    return {"ms": (first - began) / 1e6, **told}


def _newest(folder: str) -> int:
    """Number of the newest complete checkpoint; 0 before the first."""
    manifests = Path(folder).glob("*/chk-*/_metadata")
    return max((int(path.parent.name.removeprefix("chk-")) for path in manifests), default=0)


def _wait(is_reached: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _WATCHDOG_S
    while not is_reached():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {_WATCHDOG_S:g} s for {what}")
        time.sleep(_POLL_S)


CASES = {"checkpoint_cost": checkpoint_cost, "recovery": recovery}
