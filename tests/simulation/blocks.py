"""Some schedules in one process."""

from __future__ import annotations

import gc
from collections import Counter
from typing import NamedTuple

from shmflink.testing.simulation import run_schedule

__all__ = ["Block", "run_block"]


class Block(NamedTuple):
    """What came of some schedules."""

    schedules: int
    steps: int
    attempts: int
    checkpoints: int
    modes: Counter[str]
    violations: list[tuple[int, str]]


def run_block(arguments: tuple[int, int, tuple[str, ...]]) -> Block:
    """In a process of the pool."""
    first, count, jobs = arguments
    gc.disable()
    gc.freeze()  # what was imported is no garbage, and need not be looked at after every block
    steps = attempts = checkpoints = 0
    modes: Counter[str] = Counter()
    violations = []
    for seed in range(first, first + count):
        outcome = run_schedule(seed, jobs=jobs)
        steps += outcome.steps
        attempts += outcome.attempts
        checkpoints += outcome.checkpoints
        modes[f"{outcome.plan.mode}, {outcome.plan.job}"] += 1
        if outcome.violation:
            violations.append((seed, f"{outcome.plan.mode}, {outcome.plan.job}: {outcome.violation}"))
    gc.collect()
    return Block(count, steps, attempts, checkpoints, modes, violations)
