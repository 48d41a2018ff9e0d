"""The execution graph: every subtask, its slot and its channels. TaskManagers receive it."""

from __future__ import annotations

from collections.abc import Iterator

from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import InsufficientSlotsError
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex
from shmflink.metrics.counters import blocks_of_task

__all__ = [
    "ChannelDeployment",
    "ExecutionGraph",
    "InputDeployment",
    "OutputDeployment",
    "TaskDeployment",
    "channel_pairs",
    "check_slots",
    "slots_by_group",
    "slots_required",
    "taskmanager_of",
]


@dataclass(frozen=True, slots=True)
class ChannelDeployment:
    """One channel. Slots are numbered over the whole cluster; `ring` indexes the consumer TaskManager's
    ring memory.

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
    strategy: ShipStrategy = ShipStrategy.FORWARD
    key_columns: tuple[str, ...] = ()
    row_type: bytes = b""  # the pickled TypeInformation declared for the rows; empty if there is none


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
    key_columns: tuple[str, ...] = ()  # HASH: the columns that form the key; none = the batches' hidden keys


@dataclass(frozen=True, slots=True)
class TaskDeployment:
    """One attempt of one subtask, ready to run.

    `block` is the index of its block in its TaskManager's status page; the blocks of its operators follow.
    """

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


@dataclass(frozen=True, slots=True)
class ExecutionGraph:
    """One attempt of a job: every task with its slot and channels. `tasks` in order of vertex and subtask."""

    attempt: int
    epoch: int
    slots: int
    slots_per_taskmanager: int
    tasks: tuple[TaskDeployment, ...]

    @staticmethod
    def build(
        job_graph: JobGraph, attempt: int, epoch: int, slots_per_taskmanager: int, *, allows_local: bool = True
    ) -> ExecutionGraph:
        """Places subtask i of every vertex of a slot sharing group into slot i of that group's slots.

        Slots are numbered over the cluster, group after group in order of first appearance. Pure: the caller must
        have checked with `check_slots` that the cluster has enough slots. Without `allows_local` every edge has rings,
        even within a slot.
        """
        return _build(job_graph, attempt, epoch, slots_per_taskmanager, allows_local)

    @property
    def num_taskmanagers(self) -> int:
        """TaskManagers that own the slot of at least one task."""
        return taskmanager_of(self.slots - 1, self.slots_per_taskmanager) + 1

    @property
    def taskmanagers(self) -> tuple[int, ...]:
        """Numbers of the TaskManagers that have tasks."""
        return tuple(sorted({taskmanager_of(task.slot, self.slots_per_taskmanager) for task in self.tasks}))

    def tasks_of(self, taskmanager: int) -> tuple[TaskDeployment, ...]:
        """Tasks of one TaskManager, in order of their blocks."""
        return tuple(t for t in self.tasks if taskmanager_of(t.slot, self.slots_per_taskmanager) == taskmanager)

    def rings_of(self, taskmanager: int) -> int:
        """How many descriptor rings the ring memory of one TaskManager needs: one per non-local input channel."""
        return sum(c.ring >= 0 for t in self.tasks_of(taskmanager) for i in t.inputs for c in i.channels)

    def output_channels_of(self, taskmanager: int) -> int:
        """Non-local channels to which tasks of one TaskManager write."""
        return sum(c.ring >= 0 for t in self.tasks_of(taskmanager) for o in t.outputs for c in o.channels)


def taskmanager_of(slot: int, slots_per_taskmanager: int) -> int:
    """The TaskManager that owns a slot: slots fill one TaskManager after another."""
    return slot // slots_per_taskmanager


def slots_by_group(job_graph: JobGraph) -> dict[str, int]:
    """Slots that each slot sharing group needs: its largest parallelism. In order of first appearance."""
    groups: dict[str, int] = {}
    for vertex in job_graph.vertices:
        groups[vertex.slot_sharing_group] = max(groups.get(vertex.slot_sharing_group, 0), vertex.parallelism)
    return groups


def slots_required(job_graph: JobGraph) -> int:
    """Slots that the job needs, over all its slot sharing groups."""
    return sum(slots_by_group(job_graph).values())


def check_slots(job_graph: JobGraph, available: int) -> None:
    """Raises InsufficientSlotsError if the cluster has fewer slots than the job needs."""
    needed = slots_required(job_graph)
    if needed > available:
        groups = ", ".join(f"group '{name}': {count}" for name, count in slots_by_group(job_graph).items())
        raise InsufficientSlotsError(
            f"job '{job_graph.name}' needs {needed} slots ({groups}), but the cluster has {available}: "
            f"add slots (--slots {needed}, or the option cluster.slots), or lower the parallelism (-p, or "
            "set_parallelism())"
        )


def channel_pairs(strategy: ShipStrategy, producers: int, consumers: int) -> Iterator[tuple[int, int]]:
    """(producing subtask, consuming subtask) of every channel of an edge, by consumer, then producer.

    FORWARD and RESCALE are pointwise as in Flink's EdgeManagerBuildUtil.connectPointwise; the others
    all-to-all.
    """
    for consumer in range(consumers):
        for producer in _producers_of(strategy, consumer, producers, consumers):
            yield producer, consumer


def _producers_of(strategy: ShipStrategy, consumer: int, producers: int, consumers: int) -> range:
    if not strategy.is_pointwise:
        return range(producers)
    if producers >= consumers:  # every consumer reads a run of producers
        return range(consumer * producers // consumers, (consumer + 1) * producers // consumers)
    owner = consumer * producers // consumers  # every producer feeds a run of consumers
    return range(owner, owner + 1)


@dataclass(frozen=True, slots=True)
class _Edge:
    """An edge with its channels, seen from both ends."""

    edge: JobEdge
    is_local: bool
    by_producer: dict[int, list[ChannelDeployment]]
    by_consumer: dict[int, list[ChannelDeployment]]


def _build(
    job_graph: JobGraph, attempt: int, epoch: int, slots_per_taskmanager: int, allows_local: bool
) -> ExecutionGraph:
    first_slot = _first_slots(job_graph)
    rings: dict[int, int] = {}
    blocks: dict[int, int] = {}
    edges = [
        _connect(job_graph, edge, first_slot, slots_per_taskmanager, rings, allows_local) for edge in job_graph.edges
    ]
    tasks = []
    for vertex in job_graph.vertices:
        for subtask in range(vertex.parallelism):
            slot = first_slot[vertex.slot_sharing_group] + subtask
            block = _next(blocks, taskmanager_of(slot, slots_per_taskmanager), blocks_of_task(len(vertex.operators)))
            tasks.append(
                TaskDeployment(
                    subtask=SubtaskId(vertex.index, subtask),
                    attempt=attempt,
                    epoch=epoch,
                    vertex_name=vertex.name,
                    parallelism=vertex.parallelism,
                    max_parallelism=vertex.max_parallelism,
                    slot=slot,
                    block=block,
                    is_batch=job_graph.is_batch,
                    operators=vertex.operators,
                    inputs=_inputs(edges, vertex, subtask),
                    outputs=_outputs(edges, vertex, subtask, job_graph),
                )
            )
    return ExecutionGraph(attempt, epoch, slots_required(job_graph), slots_per_taskmanager, tuple(tasks))


def _next(counters: dict[int, int], key: int, step: int = 1) -> int:
    """Dense numbers per key: 0, then advanced by each step."""
    number = counters.get(key, 0)
    counters[key] = number + step
    return number


def _first_slots(job_graph: JobGraph) -> dict[str, int]:
    """Where the slots of each slot sharing group begin."""
    first: dict[str, int] = {}
    total = 0
    for group, count in slots_by_group(job_graph).items():
        first[group] = total
        total += count
    return first


def _connect(
    job_graph: JobGraph,
    edge: JobEdge,
    first_slot: dict[str, int],
    slots_per_taskmanager: int,
    rings: dict[int, int],
    allows_local: bool,
) -> _Edge:
    """All channels of an edge. The edge may be local when both ends of every channel share a slot."""
    source, target = job_graph.vertices[edge.source], job_graph.vertices[edge.target]
    source_slot, target_slot = first_slot[source.slot_sharing_group], first_slot[target.slot_sharing_group]
    pairs = list(channel_pairs(edge.strategy, source.parallelism, target.parallelism))
    is_local = allows_local and all(source_slot + p == target_slot + c for p, c in pairs)
    connected = _Edge(edge, is_local, {}, {})
    for producer, consumer in pairs:
        consumer_slot = target_slot + consumer
        channel = ChannelDeployment(
            producer=SubtaskId(edge.source, producer),
            consumer=SubtaskId(edge.target, consumer),
            producer_slot=source_slot + producer,
            consumer_slot=consumer_slot,
            ring=-1 if is_local else _next(rings, taskmanager_of(consumer_slot, slots_per_taskmanager)),
        )
        connected.by_producer.setdefault(producer, []).append(channel)
        connected.by_consumer.setdefault(consumer, []).append(channel)
    return connected


def _inputs(edges: list[_Edge], vertex: JobVertex, subtask: int) -> tuple[InputDeployment, ...]:
    return tuple(
        InputDeployment(
            e.edge.index,
            e.edge.input_index,
            e.is_local,
            tuple(e.by_consumer.get(subtask, ())),
            e.edge.strategy,
            e.edge.key_columns,
            e.edge.row_type,
        )
        for e in edges
        if e.edge.target == vertex.index
    )


def _outputs(edges: list[_Edge], vertex: JobVertex, subtask: int, job_graph: JobGraph) -> tuple[OutputDeployment, ...]:
    return tuple(
        OutputDeployment(
            edge=e.edge.index,
            operator=e.edge.source_operator,
            strategy=e.edge.strategy,
            is_local=e.is_local,
            partitioner=e.edge.partitioner,
            output_tag=e.edge.output_tag,
            buffer_timeout_ms=e.edge.buffer_timeout_ms,
            consumer_max_parallelism=job_graph.vertices[e.edge.target].max_parallelism,
            channels=tuple(e.by_producer.get(subtask, ())),
            key_columns=e.edge.key_columns,
        )
        for e in edges
        if e.edge.source == vertex.index
    )
