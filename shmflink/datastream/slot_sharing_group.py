"""Slot sharing groups and memory sizes (`pyflink.datastream.slot_sharing_group`)."""

from __future__ import annotations

from dataclasses import field
from functools import total_ordering
from typing import Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["MemorySize", "SlotSharingGroup"]

_KIBI: Final = 1024
_UNITS: Final = ((_KIBI**4, "tb"), (_KIBI**3, "gb"), (_KIBI**2, "mb"), (_KIBI, "kb"))


@total_ordering
class MemorySize:
    """A number of bytes, convertible to other units."""

    def __init__(self, j_memory_size: MemorySize | None = None, bytes_size: int | None = None) -> None:
        """`j_memory_size`: another MemorySize to copy; the parameter has PyFlink's name."""
        size = bytes_size if j_memory_size is None else j_memory_size.get_bytes()
        if not isinstance(size, int) or size < 0:
            raise ConfigurationError(f"a memory size is a number of bytes >= 0, got {size!r}")
        self._bytes: int = size

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        return MemorySize(bytes_size=mebi_bytes * _KIBI**2)

    def get_bytes(self) -> int:
        return self._bytes

    def get_kibi_bytes(self) -> int:
        return self._bytes // _KIBI

    def get_mebi_bytes(self) -> int:
        return self._bytes // _KIBI**2

    def get_gibi_bytes(self) -> int:
        return self._bytes // _KIBI**3

    def get_tebi_bytes(self) -> int:
        return self._bytes // _KIBI**4

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySize) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __lt__(self, other: MemorySize) -> bool:
        if not isinstance(other, MemorySize):
            raise TypeError(f"a MemorySize can only be compared with a MemorySize, not with {other!r}")
        return self._bytes < other._bytes

    def __str__(self) -> str:
        """The largest unit that divides the size: `64 mb`, `1025 bytes`."""
        for size, unit in _UNITS:
            if self._bytes and self._bytes % size == 0:
                return f"{self._bytes // size} {unit}"
        return f"{self._bytes} bytes"

    def __repr__(self) -> str:
        return f"MemorySize({self})"


@dataclass(frozen=True, eq=True)
class SlotSharingGroup:
    """Operators that may share slots: a name and the requested resources.

    Resources are not supported yet: the group stores them, but using a group that requests any is an error.
    """

    _name: str
    _resources: tuple[tuple[str, Any], ...] = ()
    _external: tuple[tuple[str, float], ...] = field(default=())

    def get_name(self) -> str:
        return self._name

    def get_managed_memory(self) -> MemorySize | None:
        return dict(self._resources).get("managed memory")

    def get_task_heap_memory(self) -> MemorySize | None:
        return dict(self._resources).get("task heap memory")

    def get_task_off_heap_memory(self) -> MemorySize | None:
        return dict(self._resources).get("task off-heap memory")

    def get_cpu_cores(self) -> float | None:
        return dict(self._resources).get("CPU cores")

    def get_external_resources(self) -> dict[str, float]:
        return dict(self._external)

    def usable_name(self) -> str:
        """The name; ConfigurationError if the group requests resources."""
        wanted = [f"{name} {value}" for name, value in (*self._resources, *self._external)]
        if wanted:
            raise ConfigurationError(
                f"slot sharing group '{self._name}' requests {', '.join(wanted)}: resources per slot sharing "
                f"group are not supported. Build it without: SlotSharingGroup.builder('{self._name}').build()"
            )
        return self._name

    @staticmethod
    def builder(name: str) -> SlotSharingGroup.Builder:
        return SlotSharingGroup.Builder(name)

    class Builder:
        """Builds a SlotSharingGroup."""

        def __init__(self, name: str) -> None:
            self._name = name
            self._resources: dict[str, Any] = {}
            self._external: dict[str, float] = {}

        def set_cpu_cores(self, cpu_cores: float) -> SlotSharingGroup.Builder:
            if cpu_cores <= 0:
                raise ConfigurationError(f"slot sharing group '{self._name}': cpu_cores must be > 0, got {cpu_cores}")
            self._resources["CPU cores"] = float(cpu_cores)
            return self

        def set_task_heap_memory(self, task_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            """The size if it is positive; otherwise ConfigurationError."""
            if task_heap_memory.get_bytes() <= 0:
                raise ConfigurationError(
                    f"slot sharing group '{self._name}': the task heap memory must be positive, got {task_heap_memory}"
                )
            self._resources["task heap memory"] = task_heap_memory
            return self

        def set_task_heap_memory_mb(self, task_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            return self.set_task_heap_memory(MemorySize.of_mebi_bytes(task_heap_memory_mb))

        def set_task_off_heap_memory(self, task_off_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            self._resources["task off-heap memory"] = task_off_heap_memory
            return self

        def set_task_off_heap_memory_mb(self, task_off_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            return self.set_task_off_heap_memory(MemorySize.of_mebi_bytes(task_off_heap_memory_mb))

        def set_managed_memory(self, managed_memory: MemorySize) -> SlotSharingGroup.Builder:
            self._resources["managed memory"] = managed_memory
            return self

        def set_managed_memory_mb(self, managed_memory_mb: int) -> SlotSharingGroup.Builder:
            return self.set_managed_memory(MemorySize.of_mebi_bytes(managed_memory_mb))

        def set_external_resource(self, name: str, value: float) -> SlotSharingGroup.Builder:
            self._external[name] = value
            return self

        def build(self) -> SlotSharingGroup:
            """ConfigurationError if resources are requested without CPU cores and task heap memory, as in Flink."""
            missing = [name for name in ("CPU cores", "task heap memory") if name not in self._resources]
            if missing and (self._resources or self._external):
                raise ConfigurationError(
                    f"slot sharing group '{self._name}': a group that requests resources must set CPU cores and task "
                    f"heap memory; {' and '.join(missing)} missing"
                )
            return SlotSharingGroup(
                self._name, tuple(sorted(self._resources.items())), tuple(sorted(self._external.items()))
            )
