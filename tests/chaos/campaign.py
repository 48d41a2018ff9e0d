"""Many runs: which job is next, what is told of it, and the table at the end."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.chaos import processes
from tests.chaos.client import Job
from tests.chaos.database import Database
from tests.chaos.observation import shared_memory_kb
from tests.chaos.run import JOBS, Report, Run, undisturbed

__all__ = ["WEIGHTS", "Campaign"]

WEIGHTS: Final = {
    "taskmanager": 50,
    "twice": 10,
    "all-taskmanagers": 8,
    "jobmanager": 12,
    "both": 6,
    "fork-server": 2,
    "client": 2,
    "stopped": 4,
    "stopped-shortly": 4,
    "write-errors": 4,
    "disk-full": 4,
    "rescale": 6,
}

KILLS_PER_RUN: Final = 60  # so that all jobs have their turn


class Campaign:
    """Runs jobs in turns until there were enough kills."""

    def __init__(self, folder: Path, seed: int, jobs: Sequence[str], kinds: Sequence[str] = ()) -> None:
        self._folder = folder
        self._seed = seed
        self._jobs = [JOBS[name] for name in jobs]
        self._weights = {kind: WEIGHTS.get(kind, 5) for kind in kinds}
        self._expected: dict[Job, list[bytes]] = {}
        self._database: Database | None = None
        self.reports: list[Report] = []

    def go(self, kills: int, runs: int, minutes: float) -> int:
        """0 where all was well."""
        processes.adopt_orphans()
        try:
            return self._go(kills, runs, minutes)
        finally:
            if self._database is not None:
                self._database.stop()

    def _go(self, kills: int, runs: int, minutes: float) -> int:
        memory_kb, end = shared_memory_kb(), time.monotonic() + 60 * minutes
        done = 0
        while done < kills and len(self.reports) < runs and time.monotonic() < end:
            report = self._run(self._seed + len(self.reports), min(KILLS_PER_RUN, kills - done))
            done += report.kills
            self.reports.append(report)
            print(_line(report, done, kills), flush=True)
            for problem in report.problems:
                print(f"    {problem}", flush=True)
        self._print_table(shared_memory_kb() - memory_kb)
        return int(any(report.problems for report in self.reports))

    def _run(self, seed: int, kills: int) -> Report:
        job = self._jobs[len(self.reports) % len(self._jobs)]
        if job.needs_database and self._database is None:
            self._database = Database()
        database = self._database if job.needs_database else None
        if job not in self._expected:
            self._expected[job] = undisturbed(job, self._folder / f"undisturbed-{job.name}", database)
        folder = self._folder / f"{job.name}-{seed}"
        folder.mkdir(parents=True)
        report = Run(seed, job, folder, self._weights, self._expected[job], kills, database).go()
        if report.problems:
            print(f"    seed {seed} of {job.name}; kept: {folder}; {dict(report.settings)}", flush=True)
        else:
            shutil.rmtree(folder)
        return report

    def _print_table(self, memory_kb: int) -> None:
        reports = self.reports
        strikes: Counter[str] = sum((report.strikes for report in reports), Counter())
        killed: Counter[str] = sum((report.killed for report in reports), Counter())
        print(f"\n{'what':<18} {'times':>6} {'processes killed':>17}")
        for kind in strikes:
            print(f"{kind:<18} {strikes[kind]:>6} {killed[kind]:>17}")
        print(f"{'all':<18} {strikes.total():>6} {killed.total():>17}")
        times = sorted(second for report in reports for second in report.recoveries_s)
        if times:
            p50, p99 = (times[min(len(times) - 1, int(len(times) * part))] for part in (0.5, 0.99))
            print(f"TaskManager killed -> next checkpoint complete: p50 {p50:.2f} s, p99 {p99:.2f} s of {len(times)}")
        wrong = [report for report in reports if report.problems]
        print(
            f"{len(reports)} runs of {len({report.job for report in reports})} jobs, "
            f"{sum(report.checkpoints for report in reports)} checkpoints, "
            f"{sum(report.rows_out for report in reports):,} lines compared, "
            f"{sum(report.seconds for report in reports) / 60:.0f} minutes; shared memory {memory_kb:+,} KiB; "
            f"{len(wrong)} runs with problems{''.join(f' {report.job}/{report.seed}' for report in wrong)}"
        )


def _line(report: Report, done: int, kills: int) -> str:
    what = ", ".join(f"{count} {kind}" for kind, count in report.strikes.items())
    return (
        f"{done}/{kills} kills: {report.job} seed {report.seed}: {report.seconds:.0f} s, "
        f"{report.checkpoints} checkpoints, {report.rows_out} lines, {what}: {'WRONG' if report.problems else 'ok'}"
    )
