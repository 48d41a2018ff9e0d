"""The fixture of tests that record transformations."""

from __future__ import annotations

import pytest
from oracle.recorded_program import Program


@pytest.fixture
def program() -> Program:
    return Program()
