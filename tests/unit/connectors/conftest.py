"""The fixture of tests that drive sources and sinks by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from oracle.driver import Driver


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver()
    yield made
    made.close_all()
