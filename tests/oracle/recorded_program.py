"""A small program writer: records transformations as the DataStream API would."""

from __future__ import annotations

import itertools
from typing import Any

from shmflink.connectors.base import Boundedness, Sink, Source
from shmflink.core.ids import JobId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.job_graph_builder import build_job_graph
from shmflink.graph.stream_graph import StreamGraph
from shmflink.operators.base import Operator
from shmflink.planner.stream_graph_builder import StreamGraphOptions, build_stream_graph
from shmflink.planner.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
)


class NoSource(Source):
    """Only its description matters here."""

    def __init__(self, boundedness: Boundedness = Boundedness.BOUNDED, fixed: int | None = None) -> None:
        self.boundedness = boundedness
        self._fixed = fixed

    def create_enumerator(self, parallelism: int, state: Any = None) -> Any: ...

    def create_reader(self, context: Any) -> Any: ...

    @property
    def fixed_parallelism(self) -> int | None:
        return self._fixed


class NoSink(Sink):
    """Only its description matters here."""

    def create_writer(self, context: Any) -> Any: ...


class Program:
    """Records transformations; each method takes any field of its transformation."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.recorded: list[Transformation] = []

    def source(self, name: str = "in", parallelism: int = 2, **fields: Any) -> Transformation:
        fields.setdefault("source", NoSource())
        return SourceTransformation(next(self._ids), name, parallelism=parallelism, **fields)

    def operator(self, *inputs: Transformation, name: str = "Map", parallelism: Any = 2, **fields: Any) -> Any:
        fields.setdefault("operator", Operator())
        made = OperatorTransformation(next(self._ids), name, inputs, parallelism=parallelism, **fields)
        self.recorded.append(made)
        return made

    def sink(self, stream: Transformation, name: str = "out", parallelism: int = 2, **fields: Any) -> Transformation:
        made = SinkTransformation(next(self._ids), name, (stream,), parallelism=parallelism, sink=NoSink(), **fields)
        self.recorded.append(made)
        return made

    def partition(self, stream: Transformation, strategy: ShipStrategy, partitioner: Any = None) -> Transformation:
        return PartitionTransformation(
            next(self._ids), strategy.lower(), (stream,), strategy=strategy, partitioner=partitioner
        )

    def union(self, *streams: Transformation) -> Transformation:
        return UnionTransformation(next(self._ids), "Union", streams)

    def side_output(self, stream: Transformation, tag: str) -> Transformation:
        return SideOutputTransformation(next(self._ids), "Side", (stream,), output_tag=tag)

    def stream_graph(self, name: str = "job", **options: Any) -> StreamGraph:
        return build_stream_graph(self.recorded, name, StreamGraphOptions(**options))

    def job_graph(self, name: str = "job", **options: Any) -> JobGraph:
        graph = self.stream_graph(name, **options)
        return build_job_graph(graph, job_id=JobId("0" * 32), dumps=lambda _, what: what.encode())
