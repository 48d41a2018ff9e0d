"""Shared by all tests: a watchdog on whatever may hang, and the switch for long runs."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import HealthCheck, settings

WATCHDOG_SECONDS = 300
settings.register_profile("no durations", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no durations")  # a loaded machine is slow, not wrong
_STDERR = pytest.StashKey[TextIO]()


def _make_importable(package: str) -> None:
    """A folder of plain modules that tests of several folders import; `sys.path` stays as it is."""
    spec = ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(Path(__file__).parent / package)]
    sys.modules.setdefault(package, module_from_spec(spec))


_make_importable("oracle")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, too")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STDERR] = os.fdopen(os.dup(2), "w")  # not what captures a test's output, which is lost with it
    if config.getoption("--long"):
        os.environ["SHMFLINK_TESTS_LONG"] = "1"  # for tests/oracle/running.py, in workers too


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes minutes: run with --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def watchdog(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends the whole run with every thread's stack when one test hangs."""
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True, file=request.config.stash[_STDERR])
    yield
    faulthandler.cancel_dump_traceback_later()
