from __future__ import annotations

import importlib
import importlib.util

from shmflink.core.serialization.former_modules import FORMER_MODULES, present_module


def test_every_former_module_has_a_present_one() -> None:
    for former, present in FORMER_MODULES.items():
        assert importlib.util.find_spec(former) is None, f"{former} is there again: drop it from the table"
        assert importlib.import_module(present).__name__ == present


def test_a_module_that_has_not_moved_keeps_its_name() -> None:
    assert present_module("shmflink.core.row") == "shmflink.core.row"
    assert present_module("shmflink.expressions.units") == "shmflink.expressions.time.units"
