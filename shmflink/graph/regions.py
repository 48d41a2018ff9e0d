"""Failover regions: tasks that are connected by channels fail and restart together (Flink: pipelined region)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from shmflink.core.ids import SubtaskId
from shmflink.graph.execution_graph import (
    ChannelDeployment,
    ExecutionGraph,
    InputDeployment,
    OutputDeployment,
    TaskDeployment,
    taskmanager_of,
)

__all__ = ["part_of", "regions_of"]


def regions_of(execution: ExecutionGraph) -> tuple[frozenset[SubtaskId], ...]:
    """The connected components of the tasks, in order of their first task."""
    leader: dict[SubtaskId, SubtaskId] = {task.subtask: task.subtask for task in execution.tasks}

    def find(task: SubtaskId) -> SubtaskId:
        while leader[task] != task:
            leader[task] = leader[leader[task]]
            task = leader[task]
        return task

    for channel in _channels(execution.tasks):
        leader[find(channel.producer)] = find(channel.consumer)
    regions: dict[SubtaskId, list[SubtaskId]] = {}
    for task in execution.tasks:
        regions.setdefault(find(task.subtask), []).append(task.subtask)
    return tuple(frozenset(tasks) for tasks in regions.values())


def part_of(execution: ExecutionGraph, tasks: frozenset[SubtaskId]) -> ExecutionGraph:
    """The same attempt with these tasks only, in their slots; rings are renumbered."""
    chosen = [task for task in execution.tasks if task.subtask in tasks]
    numbers: dict[int, dict[int, int]] = {}
    for task in chosen:
        for edge in task.inputs:
            for channel in edge.channels:
                if channel.ring >= 0:
                    of_consumer = numbers.setdefault(_consumer(channel, execution), {})
                    of_consumer.setdefault(channel.ring, len(of_consumer))
    return replace(execution, tasks=tuple(_renumbered(task, numbers, execution) for task in chosen))


def _channels(tasks: Iterable[TaskDeployment]) -> Iterable[ChannelDeployment]:
    return (channel for task in tasks for edge in task.inputs for channel in edge.channels)


def _consumer(channel: ChannelDeployment, execution: ExecutionGraph) -> int:
    return taskmanager_of(channel.consumer_slot, execution.slots_per_taskmanager)


def _renumbered(
    task: TaskDeployment, numbers: Mapping[int, Mapping[int, int]], execution: ExecutionGraph
) -> TaskDeployment:
    def channels(edge: InputDeployment | OutputDeployment) -> tuple[ChannelDeployment, ...]:
        return tuple(
            replace(c, ring=numbers[_consumer(c, execution)][c.ring]) if c.ring >= 0 else c for c in edge.channels
        )

    return replace(
        task,
        inputs=tuple(replace(edge, channels=channels(edge)) for edge in task.inputs),
        outputs=tuple(replace(edge, channels=channels(edge)) for edge in task.outputs),
    )
