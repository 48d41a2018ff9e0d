"""CPU use of other processes is the busy time without our own; on a busy machine, no figures are written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from perf import quiet, report
from perf.quiet import BusyMachineError, CpuTimes, Others, others_share

PER_SECOND = os.sysconf("SC_CLK_TCK")


def times(user_s: int, system_s: int, idle_s: int, own_s: float, stolen_s: int = 0) -> CpuTimes:
    ticks = [user_s, 0, system_s, idle_s, 0, 0, 0, stolen_s, user_s, 0]
    return CpuTimes.of("cpu  " + " ".join(str(field * PER_SECOND) for field in ticks), own_s)


def test_the_line_of_the_kernel_is_read_without_guests_time() -> None:
    assert times(3, 1, 16, 2.5, stolen_s=4) == CpuTimes(24.0, 8.0, 2.5)


def test_others_use_what_is_busy_without_us() -> None:
    before = times(100, 10, 1000, 20.0)
    assert others_share(before, times(108, 12, 1010, 25.0)) == 0.25  # 10 of 20 seconds busy, 5 of them ours
    assert others_share(before, times(108, 12, 1010, 31.0)) == 0.0  # a child of before is counted when it ends
    assert others_share(before, before) == 0.0
    assert others_share(before, times(100, 10, 1005, 20.0, stolen_s=5)) == 0.5


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Others:
    """A watch during which others use a quarter of the CPUs."""
    readings = iter([times(100, 10, 1000, 20.0), times(108, 12, 1010, 25.0)])
    monkeypatch.setattr(quiet.CpuTimes, "now", lambda: next(readings))
    return Others()


def test_a_busy_machine_is_refused_with_its_share_and_the_remedy(busy: Others) -> None:
    with pytest.raises(BusyMachineError, match=r"other processes use 25% of the CPUs, more than 10%: .* quiet machine"):
        busy.require_quiet()


def test_figures_of_a_busy_machine_are_not_kept(busy: Others, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    measured: list[Mapping[str, Any]] = [{"case": "hop", "value": 1.0}]
    with pytest.raises(BusyMachineError):
        list(report.kept(measured, busy))
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_quiet_machine_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(quiet.CpuTimes, "now", lambda: times(100, 10, 1000, 20.0))
    measured: list[Mapping[str, Any]] = [{"case": "hop", "value": 1.0}]
    assert list(report.kept(measured, Others())) == measured
    assert '"hop"' in (tmp_path / "figures.json").read_text()
