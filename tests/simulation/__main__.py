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
from tests.simulation.blocks import run_block

_BLOCK = 50  # schedules that a process takes at a time


def blocks(first: int, schedules: int, jobs: tuple[str, ...]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    for seed in range(first, first + schedules, _BLOCK):
        yield seed, min(_BLOCK, first + schedules - seed), jobs


def run_many(options: argparse.Namespace, jobs: tuple[str, ...]) -> int:
    """A line of progress now and then; 1 where a schedule broke a promise."""
    done = steps = attempts = checkpoints = 0
    modes: Counter[str] = Counter()
    violations: list[tuple[int, str]] = []
    began = told = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, maxtasksperchild=200) as pool:
        for block in pool.imap_unordered(run_block, blocks(options.first_seed, options.schedules, jobs)):
            done += block.schedules
            steps += block.steps
            attempts += block.attempts
            checkpoints += block.checkpoints
            modes += block.modes
            violations += block.violations
            for seed, text in block.violations:
                print(f"seed {seed}: {text}", flush=True)
            now = time.monotonic()
            if now - told >= options.every or (options.minutes and now - began > options.minutes * 60):
                told = now
                rate = done / (now - began) * 60
                print(f"{done:,} schedules, {rate:,.0f} a minute, {len(violations)} violations", flush=True)
            if (violations and not options.keep_going) or (options.minutes and now - began > options.minutes * 60):
                pool.terminate()
                break
    minutes = (time.monotonic() - began) / 60
    print(
        f"{done:,} schedules in {minutes:.1f} min: {steps:,} steps, {attempts:,} attempts, "
        f"{checkpoints:,} checkpoints, {len(violations)} violations"
    )
    if options.modes:
        for mode, count in sorted(modes.items()):
            print(f"  {mode}: {count:,}")
    for seed, _ in violations[:10]:
        print(f"  again: python -m tests.simulation --seed {seed} --trace")
    return 1 if violations else 0


def run_one(seed: int, jobs: tuple[str, ...], *, traces: bool) -> int:
    outcome = run_schedule(seed, jobs=jobs, traces=traces)
    print(outcome.plan)
    print("\n".join(outcome.trace))
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
    parser.add_argument("--every", type=float, default=10, help="seconds between two lines of progress")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    parser.add_argument("--modes", action="store_true", help="how many schedules of each kind there were")
    parser.add_argument("--job", action="append", choices=sorted(JOBS), help="only these jobs")
    options = parser.parse_args()
    jobs = tuple(options.job) if options.job else tuple(JOBS)
    if options.seed is not None:
        return run_one(options.seed, jobs, traces=options.trace)
    return run_many(options, jobs)


if __name__ == "__main__":
    sys.exit(main())
