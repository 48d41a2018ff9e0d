"""Sources and sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shmflink.planner.lowered import Lowered

if TYPE_CHECKING:
    from shmflink.plan.calls import Read, Write
    from shmflink.plan.node import Node

__all__ = ["read", "write"]


def read(call: Read, _inputs: Sequence[Node]) -> Lowered:
    """A source; filters and column selection may be moved into it later."""
    return Lowered(call.title, call.declared, "source")


def write(call: Write, inputs: Sequence[Node]) -> Lowered:
    """A sink, which learns the type of its rows."""
    declared = inputs[0].output_type
    return Lowered(call.title, declared, "sink", sink=call.sink.with_input_type(declared))
