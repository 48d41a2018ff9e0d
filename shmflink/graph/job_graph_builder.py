"""Stream graph -> job graph: chains become vertices, operators that can run as one are fused, and everything that is
sent is serialized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final

from shmflink.connectors.base import Sink, Source
from shmflink.core.ids import JobId, OperatorId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.codec import dumps_function
from shmflink.errors import JobGraphError
from shmflink.graph.chaining import chain_heads, chain_names
from shmflink.graph.fusing import Fusing, fuse
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.graph.operator_ids import operator_ids
from shmflink.graph.plan import plan_as_json
from shmflink.graph.stream_graph import StreamEdge, StreamGraph, StreamNode, default_max_parallelism

__all__ = ["JobEnvironment", "build_job_graph"]


@dataclass(frozen=True, slots=True)
class JobEnvironment:
    """What a job needs besides its operators."""

    configuration: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[str, ...] = ()
    working_directory: str = ""
    main_file: str = ""


def build_job_graph(
    graph: StreamGraph,
    environment: JobEnvironment | None = None,
    *,
    job_id: JobId | None = None,
    dumps: Callable[[Any, str], bytes] = dumps_function,
) -> JobGraph:
    """Job graph of a stream graph; vertices in topological order, inputs first.

    Raises JobGraphError (uids, co-location), and a SerializationError that names the operator that cannot be pickled.
    """
    environment = environment or JobEnvironment()
    chains = _chains(graph)
    configuration = environment.configuration
    vertices = tuple(chain.vertex(index, dumps, configuration) for index, chain in enumerate(chains.values()))
    _check_co_location(vertices)
    return JobGraph(
        job_id=job_id or JobId.random(),
        name=graph.name,
        is_batch=graph.is_batch,
        vertices=vertices,
        edges=_edges(graph, chains, dumps),
        configuration=dict(environment.configuration),
        python_path=environment.python_path,
        working_directory=environment.working_directory,
        main_file=environment.main_file,
        json_plan=plan_as_json(graph),
    )


_ALIGNMENT_INTERVAL_MS: Final = 1000  # Flink: WatermarkStrategyWithAlignment.DEFAULT_UPDATE_INTERVAL


@dataclass(slots=True)
class _Link:
    """Nodes that run as one operator: a node and those fused with it, in order."""

    nodes: list[StreamNode]
    payload: Any

    @property
    def input(self) -> StreamEdge | None:
        edges = self.nodes[0].in_edges
        return edges[0] if edges else None


@dataclass(frozen=True, slots=True)
class _Chain:
    """The nodes of one vertex, head first; `position` of each node's id among the links."""

    index: int
    name: str
    links: list[_Link]
    ids: dict[int, OperatorId]
    position: dict[int, int] = field(default_factory=dict)

    @property
    def nodes(self) -> list[StreamNode]:
        return [node for link in self.links for node in link.nodes]

    def add(self, node: StreamNode, fusing: Fusing) -> None:
        leader = fusing.leader[node.id]
        if leader == node.id:
            self.position[node.id] = len(self.links)
            self.links.append(_Link([node], fusing.payload[leader]))
        else:
            self.position[node.id] = self.position[leader]
            self.links[self.position[leader]].nodes.append(node)

    def vertex(self, index: int, dumps: Callable[[Any, str], bytes], configuration: Mapping[str, str]) -> JobVertex:
        head = self.links[0].nodes[0]
        return JobVertex(
            index=index,
            name=self.name,
            parallelism=head.parallelism,
            max_parallelism=head.max_parallelism or default_max_parallelism(head.parallelism),
            slot_sharing_group=head.slot_sharing_group,
            co_location_group=next((n.co_location_group for n in self.nodes if n.co_location_group), None),
            operators=self._operators(dumps, configuration),
        )

    def _operators(
        self, dumps: Callable[[Any, str], bytes], configuration: Mapping[str, str]
    ) -> tuple[ChainedOperator, ...]:
        children: dict[int, list[int]] = {}
        for position, link in enumerate(self.links[1:], start=1):
            assert link.input is not None
            children.setdefault(self.position[link.input.source], []).append(position)
        return tuple(
            ChainedOperator(
                operator_id=self.ids[link.nodes[0].id].hex,
                name=" -> ".join(node.name for node in link.nodes),
                description=" -> ".join(node.description for node in link.nodes),
                uid=link.nodes[0].uid,
                kind=link.nodes[0].kind,
                payload=dumps(link.payload, _what(link.nodes[0])),
                children=tuple(children.get(position, ())),
                input_tag=link.input.output_tag if link.input is not None and position else None,
                watermarks=_watermarks(link.nodes[0], dumps),
                alignment=_alignment(link.nodes[0]),
                changelog=link.nodes[-1].changelog,
                delivery=_delivery(link.nodes[0], configuration),
                connector=_connector(link.payload),
            )
            for position, link in enumerate(self.links)
        )


def _watermarks(node: StreamNode, dumps: Callable[[Any, str], bytes]) -> bytes:
    strategy = node.watermark_strategy
    return b"" if strategy is None else dumps(strategy, f"watermark strategy of {_what(node)}")


def _alignment(node: StreamNode) -> tuple[str, int, int] | None:
    alignment = None if node.watermark_strategy is None else node.watermark_strategy.alignment
    if alignment is None:
        return None
    group, drift, interval = alignment
    interval_ms = _ALIGNMENT_INTERVAL_MS if interval is None else interval.to_millis()
    return group, drift.to_millis(), interval_ms


def _delivery(node: StreamNode, configuration: Mapping[str, str]) -> str:
    """The guarantee at this end of the job after a restart from a checkpoint; empty for operators in between."""
    if isinstance(node.payload, Source):
        return "exactly-once" if node.payload.is_replayable else "at-most-once"
    return node.payload.delivery_guarantee(configuration).value if node.kind is NodeKind.SINK else ""


def _connector(payload: Any) -> str:
    """The kind of source or sink, for readers of its state; empty for operators in between."""
    return payload.state_kind if isinstance(payload, Source | Sink) else ""


def _what(node: StreamNode) -> str:
    """How errors name it: `source 'Source: lines'`, `operator 'Map'`."""
    return f"{'operator' if node.kind is NodeKind.OPERATOR else node.kind} '{node.name}'"


def _chains(graph: StreamGraph) -> dict[int, _Chain]:
    """Chain by its head's id."""
    heads = chain_heads(graph)
    ids = operator_ids(graph)
    names = chain_names(graph, heads)
    fusing = fuse(graph, heads)
    chains: dict[int, _Chain] = {}
    for node in graph.nodes.values():
        head = heads[node.id]
        if head == node.id:
            chains[head] = _Chain(len(chains), names[head], [], ids)
        chains[head].add(node, fusing)
    return chains


def _edges(graph: StreamGraph, chains: dict[int, _Chain], dumps: Callable[[Any, str], bytes]) -> tuple[JobEdge, ...]:
    chain_of = {node.id: chain for chain in chains.values() for node in chain.nodes}
    between = [edge for edge in graph.edges if chain_of[edge.source] is not chain_of[edge.target]]
    return tuple(_edge(index, edge, graph, chain_of, dumps) for index, edge in enumerate(between))


def _edge(
    index: int,
    edge: StreamEdge,
    graph: StreamGraph,
    chain_of: dict[int, _Chain],
    dumps: Callable[[Any, str], bytes],
) -> JobEdge:
    source = graph.nodes[edge.source]
    what = f"the partitioner between '{source.name}' and '{graph.nodes[edge.target].name}'"
    return JobEdge(
        index=index,
        source=chain_of[edge.source].index,
        source_operator=chain_of[edge.source].position[edge.source],
        target=chain_of[edge.target].index,
        input_index=edge.input_index,
        strategy=edge.strategy,
        partitioner=b"" if edge.partitioner is None else dumps(edge.partitioner, what),
        output_tag=edge.output_tag,
        buffer_timeout_ms=source.buffer_timeout_ms,
        key_columns=edge.key_columns,
        row_type=b"" if edge.row_type is None else dumps(edge.row_type, f"the type of what '{source.name}' emits"),
    )


def _check_co_location(vertices: tuple[JobVertex, ...]) -> None:
    """Subtasks that must share a slot must be in one slot sharing group."""
    first: dict[str, JobVertex] = {}
    for vertex in vertices:
        if vertex.co_location_group is None:
            continue
        other = first.setdefault(vertex.co_location_group, vertex)
        if other.slot_sharing_group != vertex.slot_sharing_group:
            raise JobGraphError(
                f"co-location group '{vertex.co_location_group}' contains '{other.name}' (slot sharing group "
                f"'{other.slot_sharing_group}') and '{vertex.name}' ('{vertex.slot_sharing_group}'): "
                "put them in one slot sharing group"
            )
