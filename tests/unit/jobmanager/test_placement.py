"""Which CPUs TaskManagers get."""

from __future__ import annotations

import os

import pytest

from shmflink.jobmanager.placement import cpus_by_node, cpus_of_taskmanagers, parse_cpu_list, usable_cpus


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3,8", [0, 1, 2, 3, 8]), ("5\n", [5]), ("", []), ("0-1,4-5", [0, 1, 4, 5])]
)
def test_cpu_lists(text, cpus):
    assert parse_cpu_list(text) == cpus


def test_each_its_own():
    assert cpus_of_taskmanagers([2, 3, 5], 2, 1) == [(2,), (3,)]
    assert cpus_of_taskmanagers([0, 1, 2, 3], 2, 2) == [(0, 1), (2, 3)]


def test_fewer_cpus_than_slots_are_shared():
    """[P19]"""
    assert cpus_of_taskmanagers([0, 1], 5, 1) == [(0,), (1,), (0,), (1,), (0,)]
    assert cpus_of_taskmanagers([4], 2, 3) == [(4,), (4,)]


def test_neighbours_stay_on_one_node():
    """[M21]"""
    assert cpus_by_node({0, 1, 2, 3, 9}, [[0, 2], [1, 3]]) == [0, 2, 1, 3, 9]
    assert cpus_by_node({1, 2}, [[0, 2], [1, 3]]) == [2, 1]


def test_usable_cpus_are_those_allowed():
    """[P19]"""
    assert sorted(usable_cpus()) == sorted(os.sched_getaffinity(0))
