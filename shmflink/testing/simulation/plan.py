"""What a seed chooses before the first step: the job, its configuration, and when what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final, NamedTuple

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.lazy_dataclass import dataclass
from shmflink.testing.simulation.jobmanager import LONG_TIMEOUT_MS

__all__ = ["Fault", "Plan"]

_STRATEGIES: Final[Mapping[str, Mapping[str, str]]] = {
    "none": {"restart-strategy.type": "none"},
    "fixed delay": {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "2",
        "restart-strategy.fixed-delay.delay": "3 ms",
    },
    "failure rate": {
        "restart-strategy.type": "failure-rate",
        "restart-strategy.failure-rate.max-failures-per-interval": "2",
        "restart-strategy.failure-rate.failure-rate-interval": "1 s",
        "restart-strategy.failure-rate.delay": "0 ms",
    },
    "exponential delay": {
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 ms",
        "restart-strategy.exponential-delay.max-backoff": "50 ms",
    },
}


class Fault(NamedTuple):
    """Comes `steps` steps after `checkpoints` more checkpoints have become durable since the fault before."""

    checkpoints: int
    steps: int
    kind: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed chose before the first step."""

    seed: int
    job: str
    mode: str
    parallelisms: tuple[int, ...]
    settings: CheckpointSettings
    strategy: Mapping[str, str]
    slots_per_taskmanager: int
    credits: int
    controls: int
    segment_rows: int
    watermark_interval_ms: int
    faults: tuple[Fault, ...]

    @staticmethod
    def of(seed: int, rng: random.Random, jobs: tuple[str, ...]) -> Plan:
        """Every knob that the configuration has, and some that only the world turns."""
        mode = rng.choice(("aligned", "aligned", "unaligned", "switching", "at least once", "no checkpoints"))
        faults = _faults(rng, has_checkpoints=mode != "no checkpoints")
        # What the disk has refused shows only after one checkpoint before it and one behind it.
        refuses = any(fault.kind == "disk" for fault in faults)
        interval_ms = rng.choice((4, 6) if refuses else (4, 6, 10, 15, 30))
        aligned_timeout_ms = {"unaligned": 0, "switching": rng.choice((1, 5))}.get(mode)
        timeout_ms = rng.choice((12, 60, LONG_TIMEOUT_MS, LONG_TIMEOUT_MS))
        settings = CheckpointSettings(
            interval_ms=None if mode == "no checkpoints" else interval_ms,
            is_exactly_once=mode != "at least once",
            timeout_ms=timeout_ms,
            min_pause_ms=rng.choice((0, 0, 20)),
            max_concurrent=1 if aligned_timeout_ms is not None else rng.choice((1, 1, 2, 3)),
            tolerable_failures=rng.choice((0, 3, 1000)) if timeout_ms > 12 else 1000,
            aligned_timeout_ms=aligned_timeout_ms,
            history=0,
            num_retained=rng.choice((1, 2, 3)),
            retain_on_failure=True,
        )
        return Plan(
            seed=seed,
            job=rng.choice(jobs),
            mode=mode,
            parallelisms=tuple(rng.randint(1, 3) for _ in range(rng.choice((1, 1, 3)))),
            settings=settings,
            strategy=_STRATEGIES[rng.choice(sorted(_STRATEGIES))],
            slots_per_taskmanager=rng.randint(1, 3),
            credits=rng.randint(1, 3),
            controls=rng.choice((1, 2, 8)),
            segment_rows=rng.randint(1, 4),
            watermark_interval_ms=rng.choice((0, 0, 4)),
            faults=faults,
        )


def _faults(rng: random.Random, *, has_checkpoints: bool) -> tuple[Fault, ...]:
    kinds: tuple[str, ...] = ("savepoint", "stop", "drain")
    if has_checkpoints:  # without checkpoints, a restart repeats what was committed before the failure
        kinds = ("task", "task", "taskmanager", "taskmanager", "jobmanager", "disk", "disk", *kinds)
        kinds += ("metadata", "folder", "suspend", "memory", "savepoint at restart", "leadership")
    faults: list[Fault] = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        faults.append(Fault(rng.choice((0, 1, 1, 2)), int(rng.expovariate(1 / 60)), rng.choice(kinds)))
        if faults[-1].kind in ("disk", "metadata"):  # restores the checkpoint after the refusal
            faults.append(Fault(1, int(rng.expovariate(1 / 30)), rng.choice(("task", "taskmanager", "jobmanager"))))
    return tuple(faults)
