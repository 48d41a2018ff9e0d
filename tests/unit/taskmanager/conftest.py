"""The fixture of tests that build tasks by hand."""

from __future__ import annotations

import pytest
from oracle.workbench import Workbench


@pytest.fixture
def bench() -> Workbench:
    return Workbench()
