"""The last rule: transformations become the stream graph.

Decides everything that the program did not set (parallelism, slot sharing group, partitioner, batch or streaming).
Source of the rules: Flink's StreamGraphGenerator, StreamGraph.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shmflink.connectors.base import Boundedness
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import Types
from shmflink.errors import JobGraphError
from shmflink.graph.job_graph import NodeKind
from shmflink.graph.stream_graph import StreamEdge, StreamGraph, StreamNode
from shmflink.plan.place import at
from shmflink.plan.settings import MAX_PARALLELISM_LIMIT, ChainingStrategy
from shmflink.planner.changelog import resolve_changelogs
from shmflink.planner.pushdown import push_down
from shmflink.planner.transformations import (
    DEFAULT_SLOT_SHARING_GROUP,
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
    ancestors_first,
)

__all__ = ["DEFAULT_BUFFER_TIMEOUT_MS", "RuntimeMode", "StreamGraphOptions", "build_stream_graph"]

DEFAULT_BUFFER_TIMEOUT_MS: Final = 100


class RuntimeMode(enum.StrEnum):
    """`execution.runtime-mode`; AUTOMATIC is BATCH when every source is bounded."""

    STREAMING = "STREAMING"
    BATCH = "BATCH"
    AUTOMATIC = "AUTOMATIC"


@dataclass(frozen=True, slots=True)
class StreamGraphOptions:
    """The environment's settings for the whole job."""

    parallelism: int = 1
    max_parallelism: int | None = None
    runtime_mode: RuntimeMode = RuntimeMode.STREAMING
    buffer_timeout_ms: int = DEFAULT_BUFFER_TIMEOUT_MS
    is_chaining_enabled: bool = True
    chain_different_max_parallelism: bool = True
    is_pushdown_enabled: bool = True


def build_stream_graph(sinks: Sequence[Transformation], name: str, options: StreamGraphOptions) -> StreamGraph:
    """Stream graph of everything that was recorded.

    Raises JobGraphError for a forward edge between different parallelisms, parallelism above max parallelism,
    an unbounded source in BATCH mode, a fixed parallelism that was overridden, a consumer that would mistake updates
    for rows.
    """
    order = ancestors_first(sinks)
    is_batch = _is_batch(order, options.runtime_mode)
    resolved, changelogs = resolve_changelogs(sinks, is_batch=is_batch)
    if options.is_pushdown_enabled:
        resolved = push_down(resolved, is_batch=is_batch)
    order = ancestors_first(resolved)
    builder = _Builder(options, is_batch, changelogs, max((t.id for t in order), default=0) + 1)
    for transformation in order:
        builder.add(transformation)
    return StreamGraph(
        name, is_batch, options.is_chaining_enabled, options.chain_different_max_parallelism, builder.nodes
    )


def _is_batch(order: Sequence[Transformation], mode: RuntimeMode) -> bool:
    unbounded = [
        t for t in order if isinstance(t, SourceTransformation) and t.source.boundedness is not Boundedness.BOUNDED
    ]
    if mode is RuntimeMode.BATCH and unbounded:
        raise JobGraphError(
            f"{at(unbounded[0].place)}source '{unbounded[0].name}' is unbounded, but 'execution.runtime-mode' is "
            "BATCH. Set the runtime mode to STREAMING or AUTOMATIC"
        )
    return mode is RuntimeMode.BATCH or (mode is RuntimeMode.AUTOMATIC and not unbounded)


@dataclass(frozen=True, slots=True)
class _Upstream:
    """One physical origin of a transformation's rows, with the partitioning up to the consumer."""

    node: int
    strategy: ShipStrategy | None = None
    partitioner: Any = None
    output_tag: str | None = None
    key_columns: tuple[str, ...] = ()
    row_type: Any = None


class _Builder:
    """Visits transformations, inputs first; records the origins of their rows."""

    def __init__(
        self, options: StreamGraphOptions, is_batch: bool, changelogs: Mapping[int, str], next_id: int
    ) -> None:
        """`next_id`: for nodes without a transformation."""
        self.nodes: dict[int, StreamNode] = {}
        self._options = options
        self._is_batch = is_batch
        self._changelogs = changelogs
        self._next_id = next_id
        self._upstreams: dict[int, tuple[_Upstream, ...]] = {}

    def add(self, transformation: Transformation) -> None:
        match transformation:
            case SourceTransformation(source=payload):
                self._add_node(transformation, NodeKind.SOURCE, payload, "Source: ")
            case OperatorTransformation(operator=payload):
                self._add_node(transformation, NodeKind.OPERATOR, payload, "")
            case SinkTransformation(sink=payload):
                self._add_node(transformation, NodeKind.SINK, payload, "Sink: ")
                if payload.has_global_committer:
                    self._add_global_committer(self.nodes[transformation.id])
            case _:
                self._upstreams[transformation.id] = self._virtual(transformation)

    def _virtual(self, transformation: Transformation) -> tuple[_Upstream, ...]:
        """Of several partitionings, the last one counts, as in Flink."""
        inputs = [upstream for i in transformation.inputs for upstream in self._upstreams[i.id]]
        match transformation:
            case UnionTransformation():
                return tuple(inputs)
            case PartitionTransformation(strategy=strategy, partitioner=partitioner, key_columns=keys):
                return tuple(_Upstream(u.node, strategy, partitioner, u.output_tag, keys, u.row_type) for u in inputs)
            case SideOutputTransformation(output_tag=tag):
                return tuple(_Upstream(u.node, output_tag=tag, row_type=transformation.output_type) for u in inputs)
            case _:
                raise JobGraphError(f"a {type(transformation).__name__} cannot be part of a stream graph")

    def _add_node(self, t: Transformation, kind: NodeKind, payload: Any, prefix: str) -> None:
        upstreams = [(index, u) for index, i in enumerate(t.inputs) for u in self._upstreams[i.id]]
        like = self.nodes[upstreams[0][1].node] if upstreams and t.parallelism is None else None
        parallelism = t.parallelism or (like.parallelism if like else self._options.parallelism)
        max_parallelism = t.max_parallelism or (like.max_parallelism if like else self._options.max_parallelism)
        name = t.name if t.name.startswith(prefix) else prefix + t.name
        _check_parallelism(t, name, parallelism, max_parallelism, payload)
        job_timeout_ms = like.buffer_timeout_ms if like else self._options.buffer_timeout_ms
        timeout_ms = t.buffer_timeout_ms if t.buffer_timeout_ms is not None else job_timeout_ms
        self.nodes[t.id] = StreamNode(
            id=t.id,
            name=name,
            description=t.description or name,
            kind=kind,
            payload=payload,
            output_type=t.output_type,
            parallelism=parallelism,
            max_parallelism=max_parallelism,
            slot_sharing_group=self._slot_sharing_group(t, [u for _, u in upstreams]),
            co_location_group=t.co_location_group,
            chaining_strategy=t.chaining_strategy,
            uid=t.uid,
            uid_hash=t.uid_hash,
            buffer_timeout_ms=-1 if self._is_batch else timeout_ms,  # nobody waits for a row of a batch job
            in_edges=tuple(self._edge(u, t, name, index, parallelism) for index, u in upstreams),
            watermark_strategy=t.watermark_strategy if isinstance(t, SourceTransformation) else None,
            changelog=self._changelogs.get(t.id, ""),
            place=t.place,
            origin=t.origin,
        )
        self._upstreams[t.id] = (_Upstream(t.id, row_type=t.output_type),)

    def _add_global_committer(self, sink: StreamNode) -> None:
        """A separate task, to which all subtasks of the sink report what they have committed."""
        node, self._next_id = self._next_id, self._next_id + 1
        self.nodes[node] = replace(
            sink,
            id=node,
            name=f"{sink.name}: Global Committer",
            description=f"{sink.name}: Global Committer",
            kind=NodeKind.GLOBAL_COMMITTER,
            parallelism=1,
            co_location_group=None,
            chaining_strategy=ChainingStrategy.NEVER,
            uid=None if sink.uid is None else f"{sink.uid}-global-committer",
            uid_hash=None,
            in_edges=(StreamEdge(sink.id, node, 0, ShipStrategy.GLOBAL, row_type=Types.PICKLED_BYTE_ARRAY()),),
            changelog="",
        )

    def _slot_sharing_group(self, t: Transformation, upstreams: Sequence[_Upstream]) -> str:
        """The given group; otherwise that of all inputs if they agree; otherwise the default group."""
        if t.slot_sharing_group is not None:
            return t.slot_sharing_group
        groups = {self.nodes[u.node].slot_sharing_group for u in upstreams}
        return groups.pop() if len(groups) == 1 else DEFAULT_SLOT_SHARING_GROUP

    def _edge(self, u: _Upstream, t: Transformation, name: str, input_index: int, parallelism: int) -> StreamEdge:
        source = self.nodes[u.node]
        is_same = source.parallelism == parallelism
        strategy = u.strategy or (ShipStrategy.FORWARD if is_same else ShipStrategy.REBALANCE)
        if strategy is ShipStrategy.FORWARD and not is_same:
            raise JobGraphError(
                f"{at(t.place)}forward() needs equal parallelism, but '{source.name}' has {source.parallelism} and "
                f"'{name}' has {parallelism}: set the same, or use rescale(), rebalance(), "
                "shuffle() or broadcast()"
            )
        return StreamEdge(u.node, t.id, input_index, strategy, u.partitioner, u.output_tag, u.key_columns, u.row_type)


def _check_parallelism(
    t: Transformation, name: str, parallelism: int, max_parallelism: int | None, payload: Any
) -> None:
    limit = max_parallelism if max_parallelism is not None else MAX_PARALLELISM_LIMIT
    if parallelism > limit:
        raise JobGraphError(
            f"{at(t.place)}'{name}' has parallelism {parallelism}, above its max parallelism {limit}: "
            "lower set_parallelism() or raise set_max_parallelism()"
        )
    fixed = 1 if t.is_parallelism_fixed else getattr(payload, "fixed_parallelism", None)
    if fixed is not None and parallelism != fixed:
        raise JobGraphError(
            f"{at(t.place)}'{name}' can only run with parallelism {fixed}, but {parallelism} is set: remove "
            "set_parallelism() on it"
        )
