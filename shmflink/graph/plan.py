"""The plan for people: Flink's JSON of the stream graph, and the job graph drawn as a tree of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.execution_graph import slots_by_group
from shmflink.graph.job_graph import JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.graph.stream_graph import StreamEdge, StreamGraph, StreamNode

__all__ = ["plan_as_dict", "plan_as_json", "plan_as_tree"]

_COLUMN_MAX: Final = 76  # longer rows do not push the notes of all others to the right
_PACTS: Final = {
    NodeKind.SOURCE: "Data Source",
    NodeKind.OPERATOR: "Operator",
    NodeKind.SINK: "Data Sink",
    NodeKind.GLOBAL_COMMITTER: "Data Sink",
}


def plan_as_dict(graph: StreamGraph) -> dict[str, Any]:
    """Flink's `get_execution_plan`: one node per operator, before chaining (Flink: JSONGenerator)."""
    return {"nodes": [_node_as_dict(node) for _, node in sorted(graph.nodes.items())]}


def plan_as_json(graph: StreamGraph) -> str:
    """`plan_as_dict` as indented JSON text."""
    return orjson.dumps(plan_as_dict(graph), option=orjson.OPT_INDENT_2).decode()


def _node_as_dict(node: StreamNode) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": node.id,
        "type": node.name,
        "pact": _PACTS[node.kind],
        "contents": node.description,
        "parallelism": node.parallelism,
    }
    if node.in_edges:
        described["predecessors"] = [_edge_as_dict(edge) for edge in node.in_edges]
    return described


def _edge_as_dict(edge: StreamEdge) -> dict[str, Any]:
    # Flink writes "second" for every input, because it reads the array's size after adding to it
    return {"id": edge.source, "ship_strategy": str(edge.strategy), "side": "second"}


def plan_as_tree(graph: JobGraph) -> str:
    """The job's tasks from the sources down, for a terminal.

    A task is drawn under the first task that feeds it; its other inputs end in a reference to its number. Each
    operator of a chain is named once, in the task's own line.
    """
    lines = [_headline(graph), ""]
    rows = [row for vertex in graph.vertices if not _inputs(graph, vertex) for row in _root_rows(graph, vertex)]
    width = max((len(text) for text, note in rows if note and len(text) <= _COLUMN_MAX), default=0)
    lines += [f"{text.ljust(width)}   {note}" if note else text for text, note in rows]
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


def _headline(graph: JobGraph) -> str:
    groups = slots_by_group(graph)
    slots = sum(groups.values())
    by_group = f" ({', '.join(f'{name}: {count}' for name, count in groups.items())})" if len(groups) > 1 else ""
    facts = [
        "batch" if graph.is_batch else "streaming",
        _count(len(graph.vertices), "task"),
        _count(sum(v.parallelism for v in graph.vertices), "subtask"),
        f"needs {_count(slots, 'slot')}{by_group}",
    ]
    return f"{graph.name}\n{' · '.join(facts)}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _inputs(graph: JobGraph, vertex: JobVertex) -> list[JobEdge]:
    return [edge for edge in graph.edges if edge.target == vertex.index]


def _root_rows(graph: JobGraph, vertex: JobVertex) -> Iterator[tuple[str, str]]:
    yield f"[{vertex.index + 1}] {_task_name(vertex)}", _note(graph, vertex)
    yield from _detail_rows(graph, vertex, "")
    yield from _child_rows(graph, vertex, "")
    yield "", ""


def _child_rows(graph: JobGraph, vertex: JobVertex, indent: str) -> Iterator[tuple[str, str]]:
    """One row per edge out of `vertex`, and the subtree of each task drawn here."""
    edges = [edge for edge in graph.edges if edge.source == vertex.index]
    for edge in edges:
        target = graph.vertices[edge.target]
        is_last = edge is edges[-1]
        arrow = f"{indent}{'└' if is_last else '├'}─ {_label(vertex, edge)} ─▶ "
        if _inputs(graph, target)[0] is not edge:
            yield f"{arrow}[{target.index + 1}] (see there)", ""
            continue
        yield f"{arrow}[{target.index + 1}] {_task_name(target)}", _note(graph, target)
        below = indent + ("   " if is_last else "│  ")
        yield from _detail_rows(graph, target, below)
        yield from _child_rows(graph, target, below)


def _detail_rows(graph: JobGraph, vertex: JobVertex, indent: str) -> Iterator[tuple[str, str]]:
    """Details of operators that provide them: the columns that a source reads, the condition of a filter."""
    bar = "│" if any(edge.source == vertex.index for edge in graph.edges) else " "
    for operator in vertex.operators:
        texts = operator.description.split(" -> ") if operator.description != operator.name else []
        if operator.changelog:
            texts[-1:] = [f"{texts[-1] if texts else operator.name} ⇒ {operator.changelog}"]
        for text in texts:
            yield f"{indent}{bar}    · {text}", ""


def _label(vertex: JobVertex, edge: JobEdge) -> str:
    """Ship strategy, and its origin within the task unless that is the end of a plain chain."""
    branches = any(len(operator.children) > 1 for operator in vertex.operators)
    origin = vertex.operators[edge.source_operator]
    details = [origin.name] if branches or origin.children else []
    if edge.output_tag is not None:
        details.append(f"side output '{edge.output_tag}'")
    elif origin.changelog:
        details.append(origin.changelog)
    return f"{edge.strategy} ({', '.join(details)})" if details else str(edge.strategy)


def _task_name(vertex: JobVertex) -> str:
    return vertex.name.replace(" -> ", " → ")


def _note(graph: JobGraph, vertex: JobVertex) -> str:
    is_keyed = any(edge.strategy is ShipStrategy.HASH for edge in _inputs(graph, vertex))
    parts = [f"parallelism {vertex.parallelism}"]
    if is_keyed:
        parts.append(f"{vertex.max_parallelism} key groups")
    if len(slots_by_group(graph)) > 1:
        parts.append(f"group {vertex.slot_sharing_group}")
    return ", ".join(parts)
