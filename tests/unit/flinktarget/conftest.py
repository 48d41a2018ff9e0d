"""A logical plan, call by call, as for the planner."""

from __future__ import annotations

import pytest

from tests.unit.planner.conftest import PlanWriter


@pytest.fixture
def writer() -> PlanWriter:
    return PlanWriter()
