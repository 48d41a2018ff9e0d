"""Seeded schedules of whole jobs: exactly-once, order, watermarks, credits and progress, whichever process dies."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from shmflink.testing.simulation import Plan, run_schedule
from shmflink.testing.simulation.jobs import JOBS

SCHEDULES = 8  # of each job; the long runs are `python -m tests.simulation`


@pytest.mark.parametrize("job", sorted(JOBS))
def test_every_promise_is_kept(job: str) -> None:
    """[P1][P6][P14][P15][C12][C13][C14][C15][C21][E1][E2][E3][E4][E12][B13][L9][T8] Some seeds of each job."""
    for seed in range(SCHEDULES):
        outcome = run_schedule(seed, jobs=(job,))
        assert not outcome.violation, f"python -m tests.simulation --job {job} --seed {seed} --trace"


def test_a_seed_is_always_the_same_schedule() -> None:
    """Whatever happened before in the process."""
    first = run_schedule(7, traces=True)
    run_schedule(8)
    again = run_schedule(7, traces=True)
    assert first.trace == again.trace
    assert len(first.trace) >= first.steps
    assert first.digest == again.digest


def test_seeds_reach_all_modes_and_faults() -> None:
    plans = [Plan.of(seed, Random(seed), tuple(JOBS)) for seed in range(200)]
    assert len({plan.mode for plan in plans}) == 5
    assert {plan.job for plan in plans} == set(JOBS)
    faults = {fault.kind for plan in plans for fault in plan.faults}
    assert faults == {
        *("task", "taskmanager", "jobmanager", "disk", "metadata", "folder", "memory"),
        *("suspend", "savepoint", "savepoint at restart", "stop", "drain", "leadership"),
    }
    assert len({plan.strategy["restart-strategy.type"] for plan in plans}) == 4


def test_seeds_reach_takeovers_rescales_regions_and_every_restart_strategy() -> None:
    """What the faults lead to, over whole schedules."""
    counts: Counter[str] = Counter()
    for seed in range(300, 600):
        counts += run_schedule(seed, jobs=("regions", "islands", "native-sliding", "global-sink")).counts
    missing = {
        *("takeovers", "takeovers from a JobManager that still acts", "deposed JobManagers whose calls were refused"),
        *("rescales", "regions that restarted alone", "savepoints asked of a restarting job"),
        *("restarts, fixed-delay", "restarts, failure-rate", "restarts, exponential-delay"),
        *("resumed after FAILED", "resumed after SUSPENDED", "resumed after FINISHED"),
    } - set(counts)
    assert not missing, counts
