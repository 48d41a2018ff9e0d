"""Slot sharing groups and memory sizes."""

from __future__ import annotations

import pytest

from shmflink.datastream import MemorySize, SlotSharingGroup
from shmflink.errors import ConfigurationError


def test_memory_sizes_convert_compare_and_print() -> None:
    size = MemorySize.of_mebi_bytes(2048)
    units = (size.get_kibi_bytes(), size.get_mebi_bytes(), size.get_gibi_bytes(), size.get_tebi_bytes())
    assert units == (2097152, 2048, 2, 0)
    assert size == MemorySize(bytes_size=2**31)
    assert hash(size) == hash(MemorySize(size))
    assert MemorySize(bytes_size=1) < size <= size
    assert [str(MemorySize(bytes_size=n)) for n in (0, 1025, 2048, 2**31)] == [
        "0 bytes",
        "1025 bytes",
        "2 kb",
        "2 gb",
    ]


def test_memory_sizes_are_not_negative_and_not_compared_with_numbers() -> None:
    with pytest.raises(ConfigurationError, match="number of bytes"):
        MemorySize(bytes_size=-1)
    with pytest.raises(ConfigurationError, match="number of bytes"):
        MemorySize()
    with pytest.raises(TypeError, match="only be compared with a MemorySize"):
        assert MemorySize(bytes_size=1) < 2  # type: ignore[operator]


def test_a_group_keeps_what_it_asks_for() -> None:
    group = (
        SlotSharingGroup.builder("gpu")
        .set_cpu_cores(1.5)
        .set_task_heap_memory_mb(1)
        .set_task_off_heap_memory_mb(2)
        .set_managed_memory(MemorySize.of_mebi_bytes(3))
        .set_external_resource("gpu", 1.0)
        .build()
    )
    assert (group.get_name(), group.get_cpu_cores()) == ("gpu", 1.5)
    memory = (group.get_task_heap_memory(), group.get_task_off_heap_memory(), group.get_managed_memory())
    assert memory == tuple(MemorySize.of_mebi_bytes(n) for n in (1, 2, 3))
    assert group.get_external_resources() == {"gpu": 1.0}


def test_groups_are_equal_by_value() -> None:
    assert SlotSharingGroup.builder("a").build() == SlotSharingGroup.builder("a").build()
    assert len({SlotSharingGroup.builder("a").build(), SlotSharingGroup.builder("b").build()}) == 2
    assert SlotSharingGroup.builder("a").build().get_cpu_cores() is None


def test_cpu_cores_are_positive() -> None:
    with pytest.raises(ConfigurationError, match="cpu_cores must be > 0, got 0"):
        SlotSharingGroup.builder("a").set_cpu_cores(0)
