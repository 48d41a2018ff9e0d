"""Many schedules, or one of them again.

python -m tests.simulation --schedules 1000000 --processes 2     stops at the first violation and prints its seed
python -m tests.simulation --seed 4711 --trace                   exactly that schedule, step by step
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator

from shmflink.testing.simulation import run_schedule
from shmflink.testing.simulation.jobs import JOBS
from tests.simulation.blocks import Block, run_block

_BLOCK = 50  # schedules that a process takes at a time


def blocks(first: int, schedules: int, jobs: tuple[str, ...]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    for seed in range(first, first + schedules, _BLOCK):
        yield seed, min(_BLOCK, first + schedules - seed), jobs


class Totals:
    """What came of all blocks so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.schedules = self.steps = self.attempts = self.checkpoints = 0
        self.counts: Counter[str] = Counter()
        self.violations: list[tuple[int, str]] = []

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.began) / 60

    def add(self, block: Block) -> None:
        """Prints its violations."""
        self.schedules += block.schedules
        self.steps += block.steps
        self.attempts += block.attempts
        self.checkpoints += block.checkpoints
        self.counts += block.counts
        self.violations += block.violations
        for seed, text in block.violations:
            print(f"seed {seed}: {text}", flush=True)

    def progress(self) -> str:
        rate = self.schedules / max(self.minutes, 1e-9)
        return f"{self.schedules:,} schedules, {rate:,.0f} a minute, {len(self.violations)} violations"

    def summary(self) -> list[str]:
        """How often what happened, seeds of violations, and a line of totals."""
        lines = [f"  {what}: {count:,}" for what, count in sorted(self.counts.items())]
        lines += [f"  again: python -m tests.simulation --seed {seed} --trace" for seed, _ in sorted(self.violations)]
        done = f"{self.schedules:,} schedules in {self.minutes:.1f} min: {self.steps:,} steps"
        came = f"{self.attempts:,} attempts, {self.checkpoints:,} checkpoints, {len(self.violations)} violations"
        return [*lines, f"{done}, {came}"]


def run_many(options: argparse.Namespace, jobs: tuple[str, ...]) -> int:
    """A line of progress now and then; 1 where a schedule broke a promise."""
    totals = Totals()
    told = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, maxtasksperchild=200) as pool:
        for block in pool.imap_unordered(run_block, blocks(options.first_seed, options.schedules, jobs)):
            totals.add(block)
            if time.monotonic() - told >= options.every:
                told = time.monotonic()
                print(totals.progress(), flush=True)
            is_out_of_time = options.minutes and totals.minutes > options.minutes
            if (totals.violations and not options.keep_going) or is_out_of_time:
                pool.terminate()
                break
    print("\n".join(totals.summary()), flush=True)
    return 1 if totals.violations else 0


def run_one(seed: int, jobs: tuple[str, ...], *, traces: bool) -> int:
    outcome = run_schedule(seed, jobs=jobs, traces=traces)
    print(outcome.plan)
    print("\n".join(outcome.trace))
    print(", ".join(f"{what}: {count}" for what, count in sorted(outcome.counts.items())))
    verdict = outcome.violation or "every promise was kept"
    print(f"seed {seed}: {outcome.steps} steps, {outcome.attempts} attempts, digest {outcome.digest:08x}: {verdict}")
    return 1 if outcome.violation else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one schedule")
    parser.add_argument("--trace", action="store_true", help="print every step of it")
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long; 0 = after all schedules")
    parser.add_argument("--every", type=float, default=60, help="seconds between two lines of progress")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    parser.add_argument("--job", action="append", choices=sorted(JOBS), help="only these jobs")
    options = parser.parse_args()
    jobs = tuple(options.job) if options.job else tuple(JOBS)
    if options.seed is not None:
        return run_one(options.seed, jobs, traces=options.trace)
    return run_many(options, jobs)


if __name__ == "__main__":
    sys.exit(main())
