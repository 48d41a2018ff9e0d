"""What of a job could run on a Flink cluster, for people: `shmflink info --portable`."""

from __future__ import annotations

import os
from typing import Final

from shmflink.flinktarget.counterparts import counterpart
from shmflink.flinktarget.verdict import Counterpart
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node

__all__ = ["is_portable", "portability"]

_PLACE_COLUMN: Final = 64


def is_portable(plan: LogicalPlan) -> bool:
    """Whether PyFlink has a counterpart of every call."""
    return all(counterpart(node, plan).is_portable for node in plan)


def portability(plan: LogicalPlan) -> str:
    """One block for each call, in the program's order.

    ::

        [5] Aggregate  GroupAggregate                                 job.py:7
            no       aggregate() over expressions is shmflink only
            instead  key_by() with a function and reduce(), or the Table API
    """
    found = [(node, counterpart(node, plan)) for node in plan]
    obstacles = [node for node, verdict in found if not verdict.is_portable]
    if obstacles:
        summary = f"not portable to PyFlink 2.3: {len(obstacles)} of {_count(len(found))} without a counterpart"
    else:
        summary = f"portable to PyFlink 2.3: {_count(len(found))}, each with a counterpart"
    lines = [plan.name, summary]
    for node, verdict in found:
        lines += ["", *_block(node, verdict)]
    return "\n".join(lines) + "\n"


def _count(number: int) -> str:
    return f"{number} call" if number == 1 else f"{number} calls"


def _block(node: Node, verdict: Counterpart) -> list[str]:
    title = f"[{node.id}] {type(node.call).__name__}  {node.name}"
    head = f"{title.ljust(_PLACE_COLUMN)}  {node.place.removeprefix(os.getcwd() + os.sep)}".rstrip()
    if verdict.is_portable:
        return [head, f"      yes      {verdict.method}"]
    return [head, f"      no       {verdict.obstacle}", f"      instead  {verdict.instead}"]
