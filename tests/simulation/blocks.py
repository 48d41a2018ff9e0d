"""Some schedules in one process."""

from __future__ import annotations

import gc
import logging
import traceback
from collections import Counter
from typing import NamedTuple

from shmflink.testing.simulation import run_schedule

__all__ = ["Block", "run_block"]


class Block(NamedTuple):
    """What came of some schedules. `counts`: how often what happened."""

    schedules: int
    steps: int
    attempts: int
    checkpoints: int
    counts: Counter[str]
    violations: list[tuple[int, str]]


def run_block(arguments: tuple[int, int, tuple[str, ...]]) -> Block:
    """In a process of the pool. An error of the simulation itself counts as a violation, so that a long run goes on."""
    first, count, jobs = arguments
    logging.disable(logging.CRITICAL)  # jobs fail on purpose here
    gc.disable()
    gc.freeze()  # what was imported is no garbage, and need not be looked at after every block
    steps = attempts = checkpoints = 0
    counts: Counter[str] = Counter()
    violations = []
    for seed in range(first, first + count):
        try:
            outcome = run_schedule(seed, jobs=jobs)
        except Exception:
            violations.append((seed, f"the simulation failed: {traceback.format_exc()}"))
            continue
        steps += outcome.steps
        attempts += outcome.attempts
        checkpoints += outcome.checkpoints
        counts += outcome.counts
        if outcome.violation:
            violations.append((seed, f"{outcome.plan.mode}, {outcome.plan.job}: {outcome.violation}"))
    gc.collect()
    return Block(count, steps, attempts, checkpoints, counts, violations)
