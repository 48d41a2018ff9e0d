"""Edges that leave a slot: for each channel, the TaskManager whose memory, ring and doorbell it uses."""

from __future__ import annotations

from collections.abc import Mapping

from shmflink._core import Arena, RingMemory
from shmflink.config.options import BUFFERS_PER_CHANNEL, FLOATING_BUFFERS_PER_GATE
from shmflink.core.serialization.codec import loads_trusted
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.execution_graph import InputDeployment, OutputDeployment, TaskDeployment, taskmanager_of
from shmflink.network.channel import InputGate, ResultPartition
from shmflink.network.shared_memory import SharedMemoryInputGate, SharedMemoryResultPartition

__all__ = ["SharedMemoryEdges"]


class SharedMemoryEdges:
    """The edges of one attempt whose two ends are in different slots.

    `peers` holds the ring memory and arena of this TaskManager and of every TaskManager that it shares a channel with,
    by the TaskManager's index in the execution graph. A ring lies in its consumer's ring memory; its segments lie in
    its producer's arena; each end rings the other's doorbell.
    """

    def __init__(
        self,
        taskmanager: int,
        slots_per_taskmanager: int,
        peers: Mapping[int, tuple[RingMemory, Arena]],
        configuration: Mapping[str, str],
    ) -> None:
        self._taskmanager = taskmanager
        self._per = slots_per_taskmanager
        self._peers = peers
        self._exclusive = BUFFERS_PER_CHANNEL.read(configuration)
        self._floating = FLOATING_BUFFERS_PER_GATE.read(configuration)

    def input_gate(self, deployment: TaskDeployment, edge: InputDeployment) -> InputGate:
        """The consuming end of an edge at one of our tasks."""
        ring_memory, _ = self._peers[self._taskmanager]
        channels = []
        for channel in edge.channels:
            peer_region, peer_arena = self._peers[taskmanager_of(channel.producer_slot, self._per)]
            doorbell = peer_region.doorbell(channel.producer_slot % self._per)
            channels.append((channel.ring, peer_arena, doorbell))
        return SharedMemoryInputGate(
            ring_memory,
            channels,
            exclusive=self._exclusive,
            floating=self._floating,
            row_type=loads_trusted(edge.row_type) if edge.row_type else None,
            name=deployment.task_name,
        )

    def result_partition(self, deployment: TaskDeployment, edge: OutputDeployment) -> ResultPartition:
        """The producing end of an edge at one of our tasks."""
        _, arena = self._peers[self._taskmanager]
        channels = []
        for channel in edge.channels:
            peer_region, _ = self._peers[taskmanager_of(channel.consumer_slot, self._per)]
            channels.append((peer_region, channel.ring, peer_region.doorbell(channel.consumer_slot % self._per)))
        custom = edge.strategy is ShipStrategy.CUSTOM
        return SharedMemoryResultPartition(
            arena,
            channels,
            strategy=edge.strategy,
            exclusive=self._exclusive,
            max_parallelism=edge.consumer_max_parallelism,
            partitioner=loads_trusted(edge.partitioner) if custom else None,
            seed=deployment.subtask.subtask,
            key_columns=edge.key_columns,
        )
