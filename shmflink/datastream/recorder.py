"""What an environment has recorded: one `Recorded` per call; `.name()` and other setters replace its node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shmflink.expressions.node import place_of_caller
from shmflink.plan.calls import Call, Read
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.planner.recording import checked_node

if TYPE_CHECKING:
    from shmflink.plan.node import Node

__all__ = ["Recorded", "Recorder"]


class Recorded:
    """One recorded call. It keeps its inputs alive, and nothing else."""

    __slots__ = ("inputs", "node")

    def __init__(self, node: Node, inputs: tuple[Recorded, ...]) -> None:
        self.node = node
        self.inputs = inputs

    def set(self, **changes: Any) -> None:
        """Replaces fields of the node's settings."""
        self.node = replace(self.node, settings=replace(self.node.settings, **changes))

    def plan(self) -> LogicalPlan:
        """The plan of this call and everything upstream of it."""
        return _plan_of([self])

    def source_names(self) -> list[str]:
        """Names of the upstream sources."""
        return [node.name for node in self.plan() if isinstance(node.call, Read)]


class Recorder:
    """Records calls in order; a call that its rule refuses is not recorded."""

    def __init__(self, parallelism: Callable[[], int]) -> None:
        """The default `parallelism` of operators that are recorded now."""
        self._parallelism = parallelism
        self._ends: list[Recorded] = []
        self._following = 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run."""
        return not self._ends

    def record(self, call: Call, *inputs: Recorded) -> Recorded:
        """Records a call with these inputs; raises the error with which its rule refuses it. Node numbers never restart
        within an environment.
        """
        node, following, runs = checked_node(
            self._following,
            call,
            [before.node for before in inputs],
            parallelism=self._parallelism(),
            place=place_of_caller(),
        )
        recorded = Recorded(node, inputs)
        self._following = following
        if runs:  # whether a sink follows it or not, as in Flink
            self._ends.append(recorded)
        return recorded

    def unrecorded(self, call: Call) -> Node:
        """The node that a call without inputs would get; records nothing."""
        node, _, _ = checked_node(self._following, call, [], parallelism=self._parallelism(), place="")
        return node

    def runs(self, recorded: Recorded) -> bool:
        """Whether `recorded` is part of the program that would run."""
        return any(node.id == recorded.node.id for node in self.plan())

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """For a method that records several calls: if one of them is refused, all of them are removed."""
        count, following = len(self._ends), self._following
        try:
            yield
        except BaseException:
            del self._ends[count:]
            self._following = following
            raise

    def plan(self) -> LogicalPlan:
        """Everything recorded since the last `clear`, with its current settings."""
        return _plan_of(self._ends)

    def clear(self) -> None:
        """Drops the program recorded so far. The user may continue to use its streams."""
        self._ends.clear()


def _plan_of(ends: Sequence[Recorded]) -> LogicalPlan:
    """All calls upstream of `ends`, each once, inputs before consumers, in the program's order."""
    order: dict[int, Node] = {}
    for end in ends:
        stack = [(end, iter(end.inputs))]
        while stack:
            recorded, inputs = stack[-1]
            following = next((i for i in inputs if i.node.id not in order), None)
            if following is not None:
                stack.append((following, iter(following.inputs)))
                continue
            stack.pop()
            order.setdefault(recorded.node.id, recorded.node)
    return LogicalPlan(tuple(order.values()), tuple(end.node.id for end in ends))
