"""The fixture of tests that write a logical plan call by call."""

from __future__ import annotations

import pytest
from oracle.plan_writer import PlanWriter


@pytest.fixture
def writer() -> PlanWriter:
    return PlanWriter()
