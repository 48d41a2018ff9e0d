"""The execution graph: the job graph with every subtask, its slot and its channels. What TaskManagers are given."""

from __future__ import annotations

from dataclasses import dataclass

from shmflink.core.ids import SubtaskId
from shmflink.graph.job_graph import ChainedOperator, ShipStrategy

__all__ = ["ChannelDeployment", "InputDeployment", "OutputDeployment", "TaskDeployment"]


@dataclass(frozen=True, slots=True)
class ChannelDeployment:
    """One channel. Slots are numbered over the whole cluster; `ring` indexes the consumer TaskManager's region.

    `ring` is -1 on a local edge (both ends in one slot).
    """

    producer: SubtaskId
    consumer: SubtaskId
    producer_slot: int
    consumer_slot: int
    ring: int


@dataclass(frozen=True, slots=True)
class InputDeployment:
    """All channels of one input edge into one subtask, in order of the producing subtask."""

    edge: int
    input_index: int
    is_local: bool
    channels: tuple[ChannelDeployment, ...]


@dataclass(frozen=True, slots=True)
class OutputDeployment:
    """All channels of one output edge out of one subtask, in order of the consuming subtask."""

    edge: int
    operator: int  # which chained operator's output
    strategy: ShipStrategy
    is_local: bool
    partitioner: bytes
    output_tag: str | None
    buffer_timeout_ms: int
    consumer_max_parallelism: int
    channels: tuple[ChannelDeployment, ...]


@dataclass(frozen=True, slots=True)
class TaskDeployment:
    """One attempt of one subtask, ready to run. `block` is its place in its TaskManager's status page."""

    subtask: SubtaskId
    attempt: int
    epoch: int
    vertex_name: str
    parallelism: int
    max_parallelism: int
    slot: int
    block: int
    is_batch: bool
    operators: tuple[ChainedOperator, ...]
    inputs: tuple[InputDeployment, ...]
    outputs: tuple[OutputDeployment, ...]

    @property
    def task_name(self) -> str:
        """`Map -> Sink (2/4)`, as Flink writes it."""
        return f"{self.vertex_name} ({self.subtask.subtask + 1}/{self.parallelism})"
