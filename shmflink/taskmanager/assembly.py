"""From a task's deployment to a task: user code unpickled, operators chained, gates and partitions connected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Any, Protocol

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.ids import SubtaskId
from shmflink.core.keys.groups import owners, range_of
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.mailbox import Mailbox
from shmflink.core.outbox import Delivery, Outbox
from shmflink.core.serialization.codec import loads_trusted
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.execution_graph import (
    ChannelDeployment,
    InputDeployment,
    OutputDeployment,
    TaskDeployment,
)
from shmflink.graph.job_graph import ChainedOperator, NodeKind
from shmflink.metrics.counters import OperatorCounters, TaskCounters
from shmflink.network.channel import InputGate, ResultPartition
from shmflink.network.local import (
    CREDITS_DEFAULT,
    BroadcastSelector,
    ChannelSelector,
    CustomSelector,
    KeyGroupSelector,
    LocalChannel,
    LocalInputGate,
    LocalResultPartition,
    RoundRobinSelector,
    ShuffleSelector,
    SingleSelector,
)
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.functions.record_outputs import reuses_objects
from shmflink.state.snapshots import NOTHING_RESTORED
from shmflink.taskmanager.chain import ChainNode
from shmflink.taskmanager.global_commit import GlobalCommitOperator
from shmflink.taskmanager.listener import TaskListener
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.source import SourceOperator
from shmflink.taskmanager.task import Task
from shmflink.taskmanager.task_states import NOT_RESTORED, TaskRestore

__all__ = ["LocalChannels", "RemoteEdges", "TaskResources", "build_task", "local_selector"]


class RemoteEdges(Protocol):
    """Makes the ends of edges that leave a slot; the shared-memory mechanism in a TaskManager."""

    def input_gate(self, deployment: TaskDeployment, edge: InputDeployment) -> InputGate: ...

    def result_partition(self, deployment: TaskDeployment, edge: OutputDeployment) -> ResultPartition: ...


class LocalChannels:
    """The local channels of one attempt. The end that is built first creates the channel."""

    def __init__(self, credits: int = CREDITS_DEFAULT) -> None:  # noqa: A002 - the field's word
        self._credits = credits
        self._channels: dict[tuple[int, SubtaskId, SubtaskId], LocalChannel] = {}

    def channel(self, edge: int, channel: ChannelDeployment) -> LocalChannel:
        """The channel of an edge between these two subtasks."""
        key = (edge, channel.producer, channel.consumer)
        if key not in self._channels:
            self._channels[key] = LocalChannel(self._credits)
        return self._channels[key]


def _not_restored(_deployment: TaskDeployment) -> TaskRestore:
    return NOT_RESTORED


@dataclass(slots=True)
class TaskResources:
    """What the tasks of one attempt in a TaskManager share. `remote` None: every edge is local (one process)."""

    listener: TaskListener
    local: LocalChannels = field(default_factory=LocalChannels)
    remote: RemoteEdges | None = None
    status_page: Any = None
    configuration: Mapping[str, str] = field(default_factory=dict)
    job_parameters: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = SYSTEM_CLOCK
    settings: CheckpointSettings = field(default_factory=CheckpointSettings)
    restore: Callable[[TaskDeployment], TaskRestore] = _not_restored
    job_id: str = ""
    ha_identity: str = ""
    epoch: int = 0
    open_outbox: Callable[[str, Mailbox, Callable[[Any], None]], Delivery] = Outbox
    note_commit: Callable[[str, int, int], None] | None = None
    """(operator id, subtask, checkpoint id)."""


def build_task(deployment: TaskDeployment, resources: TaskResources, slot: Mailbox) -> Task:
    """A task ready for `Slot.add_task`. Called in any thread; user code is unpickled here, and opened by the
    slot.

    Raises:
        SerializationError: user code cannot be loaded here.
    """
    restore = resources.restore(deployment)
    head = _build_chain(deployment, resources, slot, restore)
    return Task(
        deployment,
        head,
        [(edge.input_index, _gate(deployment, edge, resources)) for edge in deployment.inputs],
        [_output_end(deployment, edge, resources) for edge in deployment.outputs],
        resources.listener,
        TaskCounters(resources.status_page, deployment.block),
        resources.clock,
        resources.settings,
        restore,
    )


def local_selector(deployment: TaskDeployment, edge: OutputDeployment) -> ChannelSelector:
    """The channel of each row of an edge."""
    match edge.strategy:
        case ShipStrategy.BROADCAST:
            return BroadcastSelector()
        case _ if len(edge.channels) == 1 or edge.strategy is ShipStrategy.GLOBAL:
            return SingleSelector()
        case ShipStrategy.HASH:
            return KeyGroupSelector(owners, edge.consumer_max_parallelism, edge.key_columns)
        case ShipStrategy.CUSTOM:
            return CustomSelector(loads_trusted(edge.partitioner))
        case ShipStrategy.SHUFFLE:
            return ShuffleSelector(seed=deployment.subtask.subtask)
        case _:
            return RoundRobinSelector(start=deployment.subtask.subtask)


def _build_chain(
    deployment: TaskDeployment, resources: TaskResources, slot: Mailbox, restore: TaskRestore
) -> ChainNode:
    operators = deployment.operators
    nodes = [
        ChainNode(_operator(op), _context(deployment, op, resources, slot, index, restore))
        for index, op in enumerate(operators)
    ]
    for node, op in zip(nodes, operators, strict=True):
        for child in op.children:
            tag = operators[child].input_tag
            followers = node.children if tag is None else node.side_children.setdefault(tag, [])
            followers.append(nodes[child])
    reuses = reuses_objects(resources.configuration)
    keeping = frozenset(i for i, edge in enumerate(deployment.outputs) if edge.is_local or resources.remote is None)
    for node in nodes:
        node.reuses_objects, node.keeping = reuses, keeping
    for index, edge in enumerate(deployment.outputs):
        node, tag = nodes[edge.operator], edge.output_tag
        (node.partitions if tag is None else node.side_partitions.setdefault(tag, [])).append(index)
    return nodes[0]


def _operator(op: ChainedOperator) -> Operator:
    loaded = loads_trusted(op.payload)
    if op.kind is NodeKind.SOURCE:
        return SourceOperator(loaded, loads_trusted(op.watermarks) if op.watermarks else None)
    if op.kind is NodeKind.SINK:
        return SinkOperator(loaded)
    if op.kind is NodeKind.GLOBAL_COMMITTER:
        return GlobalCommitOperator(loaded)
    assert isinstance(loaded, Operator), f"the payload of '{op.name}' is a {type(loaded).__name__}"
    return loaded


def _context(
    deployment: TaskDeployment,
    op: ChainedOperator,
    resources: TaskResources,
    slot: Mailbox,
    index: int,
    restore: TaskRestore,
) -> OperatorContext:
    """Of the chain's operator `index`."""
    subtask = deployment.subtask.subtask
    context = OperatorContext(
        operator_name=op.name,
        operator_id=op.operator_id,
        task_name=deployment.vertex_name,
        subtask_index=subtask,
        parallelism=deployment.parallelism,
        max_parallelism=deployment.max_parallelism,
        attempt=deployment.attempt,
        is_batch=deployment.is_batch,
        configuration=dict(resources.configuration),
        mailbox=slot,
        clock=resources.clock,
        job_parameters=dict(resources.job_parameters),
        counters=OperatorCounters(resources.status_page, deployment.block + 1 + index),
        key_groups=range_of(subtask, deployment.max_parallelism, deployment.parallelism),
        restored=restore.states.get(op.operator_id, NOTHING_RESTORED),
        job_id=resources.job_id,
        ha_identity=resources.ha_identity,
        epoch=resources.epoch,
        open_outbox=resources.open_outbox,
    )
    if resources.note_commit is not None:
        context.note_commit = partial(resources.note_commit, op.operator_id, subtask)
    return context


def _gate(deployment: TaskDeployment, edge: InputDeployment, resources: TaskResources) -> InputGate:
    if edge.is_local or resources.remote is None:
        row_type = loads_trusted(edge.row_type) if edge.row_type else None
        return LocalInputGate([resources.local.channel(edge.edge, channel) for channel in edge.channels], row_type)
    return resources.remote.input_gate(deployment, edge)


def _output_end(deployment: TaskDeployment, edge: OutputDeployment, resources: TaskResources) -> OutputEnd:
    timeout_ns = edge.buffer_timeout_ms * 1_000_000 if edge.buffer_timeout_ms >= 0 else -1
    if edge.is_local or resources.remote is None:
        channels = [resources.local.channel(edge.edge, channel) for channel in edge.channels]
        reuses = reuses_objects(resources.configuration)
        selector = local_selector(deployment, edge)
        return OutputEnd(LocalResultPartition(channels, selector, reuses_objects=reuses), timeout_ns)
    return OutputEnd(resources.remote.result_partition(deployment, edge), timeout_ns)
