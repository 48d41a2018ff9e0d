"""How much memory an attempt needs in each TaskManager, before anything is created. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from shmflink.config.options import BUFFERS_PER_CHANNEL, FLOATING_BUFFERS_PER_GATE, SEGMENT_SIZE
from shmflink.config.values import format_bytes
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ResourceError
from shmflink.graph.execution_graph import ExecutionGraph

__all__ = ["CONTROL_CAPACITY", "AttemptMemory", "attempt_memory", "check_memory"]

CONTROL_CAPACITY: Final = 16  # control elements in flight per channel; beyond it, a watermark replaces a waiting one
_RESERVED_SHARE: Final = 0.9  # fraction of the available memory; the rest is for the processes themselves


@dataclass(frozen=True, slots=True)
class AttemptMemory:
    """What one TaskManager creates: `rings` in its ring memory, `segments` in its arena."""

    rings: int
    data_capacity: int
    segment_bytes: int
    segments: int

    @property
    def arena_bytes(self) -> int:
        return self.segment_bytes * self.segments


def attempt_memory(graph: ExecutionGraph, configuration: Mapping[str, str]) -> dict[int, AttemptMemory]:
    """By the index of each TaskManager in the execution graph.

    Segments = exclusive x output channels, which each channel may always use, plus a pool that all outputs share. A
    ring has room for as many data descriptors as its channel can have credits.
    """
    exclusive = BUFFERS_PER_CHANNEL.read(configuration)
    floating = FLOATING_BUFFERS_PER_GATE.read(configuration)
    segment_bytes = SEGMENT_SIZE.read(configuration)
    memory = {}
    for taskmanager in graph.taskmanagers:
        channels = graph.output_channels_of(taskmanager)
        outputs = sum(not output.is_local for task in graph.tasks_of(taskmanager) for output in task.outputs)
        memory[taskmanager] = AttemptMemory(
            rings=graph.rings_of(taskmanager),
            data_capacity=exclusive + floating,
            segment_bytes=segment_bytes,
            segments=max(1, exclusive * channels + floating * outputs),
        )
    return memory


def check_memory(memory: Collection[AttemptMemory], available_bytes: int) -> None:
    """ResourceError, with the sum, if the arenas together exceed the available memory."""
    needed = sum(one.arena_bytes for one in memory)
    if needed > available_bytes * _RESERVED_SHARE:
        segments = sum(one.segments for one in memory)
        raise ResourceError(
            f"the job's channels need {format_mb(needed)} of memory ({segments} segments of "
            f"{format_bytes(next(iter(memory)).segment_bytes)}), {format_mb(available_bytes)} are available: lower the "
            f"parallelism, or {SEGMENT_SIZE.key}, {BUFFERS_PER_CHANNEL.key} or {FLOATING_BUFFERS_PER_GATE.key}"
        )


def format_mb(size: int) -> str:
    """Whole mebibytes, for people."""
    return f"{-(-size // 2**20)} MiB"
