"""An operator chain: a tree of operators through which an element is driven lazily.

`drive` is a generator: it does nothing until it is pulled and is suspended between two outputs, so the task
decides after each one whether to continue. The chain holds nothing but the output that it yields next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Final, TypeAlias

from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, Element
from shmflink.core.lazy_dataclass import dataclass
from shmflink.operators.base import PAUSE as WAITS
from shmflink.operators.base import Operator, OperatorContext, SideOutput
from shmflink.operators.time.timer_service import REST

__all__ = [
    "AT_REST",
    "PAUSE",
    "ChainNode",
    "ChainOutput",
    "drive",
    "emit",
    "emit_all",
    "finish",
    "nodes_of",
    "pass_barrier",
]

PAUSE: Final = -1
"""Partition index of an output that is only a pause: the task may stop here."""
AT_REST: Final = -2
"""Like PAUSE, and nothing is in flight within the chain except the element being driven: if that is a watermark, a
barrier may pass here, because the watermark comes again after a restore."""

ChainOutput: TypeAlias = tuple[int, Element | None]
"""(partition index, element), or (PAUSE, None)."""

_PAUSED: Final[ChainOutput] = (PAUSE, None)
_AT_REST: Final[ChainOutput] = (AT_REST, None)


@dataclass(slots=True)
class ChainNode:
    """One operator, its successors in the chain, and the result partitions of its main output.

    `side_children` and `side_partitions` are those of its side outputs, by tag. `keeping` are the partitions that keep
    a batch's rows (local channels); the others have serialized them before they receive the next batch.
    """

    operator: Operator
    context: OperatorContext
    children: list[ChainNode] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    side_children: dict[str, list[ChainNode]] = field(default_factory=dict)
    side_partitions: dict[str, list[int]] = field(default_factory=dict)
    may_be_busy: bool = False
    emits_by_itself: bool = False
    keeping: frozenset[int] = frozenset()
    reuses_objects: bool = False

    def __post_init__(self) -> None:
        self.may_be_busy = type(self.operator).is_available is not Operator.is_available
        has_outputs = type(self.operator).has_outputs is not Operator.has_outputs
        self.emits_by_itself = has_outputs and getattr(self.operator, "ends_outputs", True)

    def all_children(self) -> list[ChainNode]:
        """Those of all outputs: control elements go to each of them."""
        return [*self.children, *(child for side in self.side_children.values() for child in side)]

    def all_partitions(self) -> list[int]:
        """Those of all outputs."""
        return [*self.partitions, *(index for side in self.side_partitions.values() for index in side)]


def drive(node: ChainNode, element: Element, input_index: int = 0) -> Iterator[ChainOutput]:
    """Drives one element through `node` and everything behind it. Pauses before an operator that is busy."""
    operator = node.operator
    is_batch = isinstance(element, Batch)
    if is_batch and node.may_be_busy:
        while not operator.is_available:
            yield _PAUSED
    outputs: Iterator[Element | SideOutput]
    if is_batch:
        counters, clock = node.context.counters, node.context.clock
        counters.records_in += element.num_rows  # type: ignore[union-attr]
        began_ns = clock.monotonic_ns()
        outputs = operator.process(element, input_index)  # type: ignore[arg-type]
        counters.busy_ns += clock.monotonic_ns() - began_ns  # sinks do their work in the call itself
    else:
        outputs = operator.process_control(element)  # type: ignore[arg-type]
    yield from emit_all(node, outputs)


def emit(node: ChainNode, output: Element | SideOutput) -> Iterator[ChainOutput]:
    """Passes one output of `node` to its readers. Control elements also go to readers of side outputs."""
    if isinstance(output, SideOutput):
        children: list[ChainNode] = node.side_children.get(output.tag, [])
        partitions: list[int] = node.side_partitions.get(output.tag, [])
        output = output.batch
    elif isinstance(output, Batch):
        node.context.counters.records_out += output.num_rows
        children, partitions = node.children, node.partitions
    else:
        children, partitions = node.all_children(), node.all_partitions()
    if isinstance(output, Batch) and len(children) + len(partitions) > 1 and not node.reuses_objects:
        yield from _emit_values(node, output, children, partitions)
        return
    for child in children:
        yield from drive(child, output)
    for partition in partitions:
        yield partition, output


def _emit_values(
    node: ChainNode, batch: Batch, children: list[ChainNode], partitions: list[int]
) -> Iterator[ChainOutput]:
    """A batch for several readers, each of which may change its rows: the last reader gets the batch, the others get
    copies.

    Partitions that serialize rows come first and need no copy.
    """
    keeping = [partition for partition in partitions if partition in node.keeping]
    for partition in partitions:
        if partition not in node.keeping:
            yield partition, batch
    left = len(keeping) + len(children)
    for partition in keeping:
        left -= 1
        yield partition, batch.isolated() if left else batch
    for child in children:
        left -= 1
        yield from drive(child, batch.isolated() if left else batch)


def finish(node: ChainNode) -> Iterator[ChainOutput]:
    """The normal end: every operator's held-back rows, upstream before downstream."""
    if node.may_be_busy:
        while not node.operator.is_available:
            yield _PAUSED
    yield from emit_all(node, node.operator.finish())
    for child in node.all_children():
        yield from finish(child)


def pass_barrier(node: ChainNode, barrier: Barrier, freeze: Callable[[ChainNode], None]) -> Iterator[ChainOutput]:
    """Passes a barrier through the chain: operators first emit what they have buffered, then their state is frozen."""
    for output in node.operator.process_control(barrier):
        if not isinstance(output, Barrier):
            yield from emit(node, output)
    freeze(node)
    for child in node.all_children():
        yield from pass_barrier(child, barrier, freeze)
    for partition in node.all_partitions():
        yield partition, barrier


def nodes_of(node: ChainNode) -> Iterator[ChainNode]:
    """`node` and everything behind it in the chain, upstream first."""
    yield node
    for child in node.all_children():
        yield from nodes_of(child)


def emit_all(node: ChainNode, outputs: Iterator[Element | SideOutput]) -> Iterator[ChainOutput]:
    """Passes all outputs of `node` to their readers, with a pause between two of them, so that an operator with many
    does not keep the slot.

    Counts the operator's own time: downstream operators run between two of its outputs.
    """
    counters, monotonic_ns = node.context.counters, node.context.clock.monotonic_ns
    is_first = True
    while True:
        began_ns = monotonic_ns()
        output = next(outputs, None)
        counters.busy_ns += monotonic_ns() - began_ns
        if output is None:
            return
        if output is REST:
            yield _AT_REST
            continue
        if output is WAITS:
            yield _PAUSED
            continue
        if not is_first:
            yield _PAUSED
        is_first = False
        yield from emit(node, output)
