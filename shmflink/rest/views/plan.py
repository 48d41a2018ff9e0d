"""The dataflow plan: in `/jobs/:jobid`, and under `/jobs/:jobid/plan`."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from shmflink.rest.views.vertices import vertex_id
from shmflink.rpc.read_messages import EdgeRead, JobRead, OperatorRead, VertexShape

__all__ = ["plan"]

Json = dict[str, object]


def plan(read: JobRead) -> Json:
    """The nodes, sinks first."""
    ids = {shape.index: vertex_id(shape) for shape in read.vertices}
    return {
        "jid": read.summary.overview.job_id.hex,
        "name": read.summary.overview.name,
        "type": "BATCH" if read.summary.is_batch else "STREAMING",
        "nodes": [_node(shape, read.edges, ids) for shape in reversed(read.vertices)],
    }


def _node(shape: VertexShape, edges: Sequence[EdgeRead], ids: dict[int, str]) -> Json:
    node: Json = {
        "id": ids[shape.index],
        "operator": "",
        "parallelism": shape.parallelism,
        "operator_strategy": "",
        "description": description(shape.operators),
        "optimizer_properties": {},
    }
    inputs = [edge for edge in edges if edge.target == shape.index]
    if inputs:
        node["inputs"] = [
            {
                "id": ids[edge.source],
                "num": number,
                "exchange": "pipelined_bounded",
                "ship_strategy": edge.strategy.value.upper(),
            }
            for number, edge in enumerate(inputs)
        ]
    return node


def description(operators: Sequence[OperatorRead]) -> str:
    """A line for each operator of a chain, as HTML: pages put it into their text as it is."""
    return "".join(f"{line}<br/>" for line in _lines(operators, 0, ""))


def _lines(operators: Sequence[OperatorRead], index: int, indent: str) -> Iterator[str]:
    operator = operators[index]
    text = " ".join((operator.description or operator.name).split())
    head = "" if index == 0 else f"{indent}+- "
    yield head + html.escape(text).replace("\\", "&#92;")
    for child in operator.children:
        yield from _lines(operators, child, "" if index == 0 else f"{indent}   ")
