"""To which CPUs TaskManagers are pinned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shmflink.jobmanager.placement import (
    CpuClaims,
    cpus_by_node,
    cpus_of_taskmanagers,
    parse_cpu_list,
    placed,
    usable_cpus,
)


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3,8", [0, 1, 2, 3, 8]), ("5\n", [5]), ("", []), ("0-1,4-5", [0, 1, 4, 5])]
)
def test_cpu_lists(text, cpus):
    assert parse_cpu_list(text) == cpus


def test_each_its_own() -> None:
    assert cpus_of_taskmanagers([2, 3, 5], 2, 1) == [(2,), (3,)]
    assert cpus_of_taskmanagers([0, 1, 2, 3], 2, 2) == [(0, 1), (2, 3)]


def test_fewer_cpus_than_slots_are_shared() -> None:
    """[P19]"""
    assert cpus_of_taskmanagers([0, 1], 5, 1) == [(0,), (1,), (0,), (1,), (0,)]
    assert cpus_of_taskmanagers([4], 2, 3) == [(4,), (4,)]


def test_neighbours_stay_on_one_node() -> None:
    """[M21]"""
    assert cpus_by_node({0, 1, 2, 3, 9}, [[0, 2], [1, 3]]) == [0, 2, 1, 3, 9]
    assert cpus_by_node({1, 2}, [[0, 2], [1, 3]]) == [2, 1]


def test_usable_cpus_are_those_allowed() -> None:
    """[P19]"""
    assert sorted(usable_cpus()) == sorted(os.sched_getaffinity(0))


def test_a_cluster_that_has_all_cpus_shares_them_among_its_slots() -> None:
    assert placed([0, 1], [0, 1], 3, 1) == [(0,), (1,), (0,)]


@pytest.mark.parametrize(
    ("claimed", "taskmanagers", "per", "chosen"),
    [
        ([3], 1, 1, [(3,)]),
        ([3], 3, 1, [(3,), (), ()]),
        ([], 2, 1, [(), ()]),
        ([1, 2, 3], 2, 2, [(1, 2), ()]),
    ],
)
def test_taskmanagers_for_which_no_cpu_is_left_run_unpinned(claimed, taskmanagers, per, chosen):
    assert placed([0, 1, 2, 3], claimed, taskmanagers, per) == chosen


CLAIMING = """
import sys
from shmflink.jobmanager.placement import CpuClaims
claims = CpuClaims(sys.argv[1])
print(claims.claim([0, 1, 2, 3], 2), flush=True)
sys.stdin.read()
"""


def test_claims_of_processes_exclude_each_other_and_end_with_them_however_they_end(tmp_path: Path) -> None:
    def other() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CLAIMING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    first, second = other(), None
    try:
        assert first.stdout.readline() == "[0, 1]\n"
        second = other()
        assert second.stdout.readline() == "[2, 3]\n"
        ours = CpuClaims(str(tmp_path))
        assert ours.claim([0, 1, 2, 3, 4], 5) == [4]
        first.kill()
        first.wait()
        assert ours.claim([0, 1, 2, 3], 4) == [0, 1]
        ours.close()
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()
