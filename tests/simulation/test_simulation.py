"""Seeded schedules of whole jobs: exactly once, order, watermarks, credits, progress, whatever dies."""

from __future__ import annotations

from random import Random

import pytest

from shmflink.testing.simulation import Plan, run_schedule
from shmflink.testing.simulation.jobs import JOBS

SCHEDULES = 8  # of each job; the long runs are `python -m tests.simulation`


@pytest.mark.parametrize("job", sorted(JOBS))
def test_every_promise_is_kept(job):
    """[P1][P6][P14][P15][C12][C13][C14][C15][C21][E1][E2][E3][E4][E12][B13][L9][T8] Some seeds of each job."""
    for seed in range(SCHEDULES):
        outcome = run_schedule(seed, jobs=(job,))
        assert not outcome.violation, f"python -m tests.simulation --job {job} --seed {seed} --trace"


def test_a_seed_is_always_the_same_schedule():
    """Whatever happened before in the process."""
    first = run_schedule(7, traces=True)
    run_schedule(8)
    again = run_schedule(7, traces=True)
    assert first.trace == again.trace
    assert len(first.trace) >= first.steps
    assert first.digest == again.digest


def test_seeds_reach_all_modes_and_faults():
    plans = [Plan.of(seed, Random(seed), tuple(JOBS)) for seed in range(200)]
    assert len({plan.mode for plan in plans}) == 5
    assert {plan.job for plan in plans} == set(JOBS)
    faults = {fault.kind for plan in plans for fault in plan.faults}
    assert faults == {
        *("task", "taskmanager", "jobmanager", "disk", "metadata", "folder", "memory"),
        *("suspend", "savepoint", "stop", "drain"),
    }
    assert len({plan.strategy["restart-strategy.type"] for plan in plans}) == 4
