"""How many random programs a comparison runs: few in CI, thousands with `--long` (tests/conftest.py sets it)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = "SHMFLINK_TESTS_LONG"
LONG_FACTOR = 20


def examples(count: int) -> settings:
    """Settings of a comparison; a failing program is printed with what repeats it (`@reproduce_failure`)."""
    factor = LONG_FACTOR if os.environ.get(LONG) else 1
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count * factor, deadline=None, suppress_health_check=quiet, print_blob=True)
