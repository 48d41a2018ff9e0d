"""Shared by all tests: a watchdog on whatever may hang, and the switch for long runs."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator

import pytest

WATCHDOG_SECONDS = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes minutes: run with --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """Ends the whole run with every thread's stack when one test hangs."""
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
