"""Prints the logical plan for people: each call, its columns, the operators it becomes, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.graph.chaining import chain_heads
from shmflink.graph.fusing import Fusing, fuse
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import Filter
from shmflink.plan.calls import FilterColumns, Read
from shmflink.planner.rules import lowered

if TYPE_CHECKING:
    from shmflink.graph.stream_graph import StreamEdge, StreamGraph, StreamNode
    from shmflink.plan.logical_plan import LogicalPlan
    from shmflink.plan.node import Node
    from shmflink.planner.lowered import Lowered

__all__ = ["explain"]

_COLUMNS_MAX: Final = 8  # columns of a schema that are shown
_PLACE_COLUMN: Final = 64


def explain(plan: LogicalPlan, graph: StreamGraph) -> str:
    """One block for each call, inputs before consumers.

    ::

        [5] Aggregate  Aggregate(by user; count() AS n)  ◀ [1]        job.py:7
              columns  user: string, n: int64
              why      native: pre-aggregated in the tasks that produce the rows, then merged by key
              becomes  LocalAggregate (4) ─ HASH user ▶ Aggregate (4): updates by user

    Numbers are those of the stream graph. `(4)`: the parallelism. `graph` must come from `plan`.
    """
    fusing = fuse(graph, chain_heads(graph))
    made: dict[int, list[StreamNode]] = {}
    for stream_node in graph.nodes.values():
        made.setdefault(stream_node.origin, []).append(stream_node)
    kind = "batch" if graph.is_batch else "streaming"
    calls, operators = _count(len(plan.nodes), "call"), _count(len(graph.nodes), "operator")
    lines = [graph.name, f"{kind} · {calls} · {operators}"]
    for node in plan:
        lines.append("")
        lines += _block(node, plan, graph, made.get(node.id, []), fusing)
    return "\n".join(lines) + "\n"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _block(
    node: Node, plan: LogicalPlan, graph: StreamGraph, made: Sequence[StreamNode], fusing: Fusing
) -> Iterator[str]:
    inputs = plan.inputs_of(node)
    read = f"  ◀ {', '.join(f'[{before.id}]' for before in inputs)}" if inputs else ""
    rule = lowered(node.call, inputs)
    title = f"[{node.id}] {type(node.call).__name__}  {_text(node, rule)}{read}"
    yield f"{title.ljust(_PLACE_COLUMN)}  {_shown_place(node.place)}".rstrip()
    rows = {
        "name": "" if node.name == rule.name else node.name,
        "uid": node.settings.uid or "",
        "columns": _columns(node.output_type),
        "why": "; ".join([rule.why, *_pushed(node, made)]),
        "becomes": _becomes(made, graph),
        "fused": _fused(made, fusing, graph),
    }
    for name, text in rows.items():
        if text:
            yield f"      {name.ljust(7)}  {text}"


def _text(node: Node, rule: Lowered) -> str:
    """The program's description; otherwise that of the operator that does the main work."""
    described = [piece.description for piece in rule.operators if piece.description]
    if described and node.description == described[-1]:
        return described[0]
    return node.description or rule.name


def _shown_place(place: str) -> str:
    """The place with a relative path if the file is below the working directory."""
    file, colon, line = place.rpartition(":")
    here = os.getcwd() + os.sep
    return f"{file.removeprefix(here)}{colon}{line}"


def _columns(declared: TypeInformation | None) -> str:
    """Names and types; for a stream without columns, its type."""
    schema = schema_of(declared)
    if schema is None:
        return "unknown: no type was declared" if declared is None else str(declared)
    shown = [f"{field.name}: {field.type}" for field in list(schema)[:_COLUMNS_MAX]]
    more = len(schema) - len(shown)
    return ", ".join(shown) + (f", ... {more} more" if more else "")


def _pushed(node: Node, made: Sequence[StreamNode]) -> Iterator[str]:
    """The effect of push-down on the node."""
    own = node.description or node.name
    if isinstance(node.call, Read):
        yield from (f"reads less: {one.description.removeprefix(f'{own}, ')}" for one in made if _is_narrowed(one, own))
    if isinstance(node.call, FilterColumns) and not any(_filters(one) for one in made):
        yield "the source filters"


def _is_narrowed(source: StreamNode, own: str) -> bool:
    return source.description.startswith(f"{own}, ")


def _filters(node: StreamNode) -> bool:
    operator = node.payload
    return not isinstance(operator, ColumnsOperator) or any(isinstance(step, Filter) for step in operator.steps)


def _becomes(made: Sequence[StreamNode], graph: StreamGraph) -> str:
    """Its operators, each with the routing of its input."""
    texts: list[str] = []
    for node in made:
        arrow = _arrow(node, [graph.nodes[edge.source] for edge in node.in_edges]) if node.in_edges else ""
        changelog = f": {node.changelog}" if node.changelog else ""
        texts.append(f"{arrow}{node.name} ({node.parallelism}){changelog}")
    return " ".join(texts)


def _arrow(node: StreamNode, before: Sequence[StreamNode]) -> str:
    """The routing; empty if rows stay in their task."""
    ways = dict.fromkeys(_way(edge) for edge in node.in_edges if edge.strategy is not ShipStrategy.FORWARD)
    inside = any(each.origin == node.origin for each in before)
    if not ways:
        return "→ " if inside else ""
    return f"─ {', '.join(ways)} ▶ "


def _way(edge: StreamEdge) -> str:
    return f"{edge.strategy} {', '.join(edge.key_columns)}".rstrip()


def _fused(made: Sequence[StreamNode], fusing: Fusing, graph: StreamGraph) -> str:
    """The calls with which it shares an operator."""
    others: Mapping[int, None] = dict.fromkeys(
        graph.nodes[member].origin
        for node in made
        for member in fusing.members(fusing.leader[node.id])
        if graph.nodes[member].origin != node.origin
    )
    return f"one operator with {', '.join(f'[{other}]' for other in others)}" if others else ""
