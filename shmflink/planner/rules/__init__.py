"""One rule for each kind of call: checks it against its input types and determines which operators it becomes.

`lowered` selects the rule. A rule is a pure function of the call and of its input nodes. It raises the program's errors
(TypeMismatchError, JobGraphError, ...). The recorder also applies it, so that the method that the program calls raises
them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from shmflink.core.types.typeinfo import TypeInformation
from shmflink.plan import calls
from shmflink.plan.node import Node
from shmflink.planner.lowered import Lowered

__all__ = ["RULES", "lowered", "rule_at"]

Rule = Callable[[Any, Sequence[Node]], Lowered]

RULES: Final[Mapping[type[calls.Call], str]] = {
    calls.Read: "ends.read",
    calls.Write: "ends.write",
    calls.Map: "record_functions.map_elements",
    calls.FlatMap: "record_functions.flat_map",
    calls.Filter: "record_functions.filter_elements",
    calls.MapBatches: "record_functions.map_batches",
    calls.AsyncWait: "record_functions.async_wait",
    calls.Project: "record_functions.project",
    calls.Process: "record_functions.process",
    calls.Reduce: "record_functions.reduce",
    calls.RollingAggregate: "record_functions.rolling_aggregate",
    calls.AssignTimestamps: "record_functions.assign_timestamps",
    calls.Apply: "record_functions.apply",
    calls.Select: "columns.select",
    calls.FilterColumns: "columns.filter_columns",
    calls.Explode: "columns.explode",
    calls.AsColumns: "columns.as_columns",
    calls.KeyBy: "keys.key_by",
    calls.Values: "keys.values",
    calls.KeysAndElements: "keys.keys_and_elements",
    calls.Partition: "streams.partition",
    calls.PartitionCustom: "keys.partition_custom",
    calls.Union: "streams.union",
    calls.SideOutput: "streams.side_output",
    calls.Final: "streams.final",
    calls.EveryUpdate: "streams.every_update",
    calls.CoMap: "two_inputs.co_map",
    calls.CoFlatMap: "two_inputs.co_flat_map",
    calls.CoProcess: "two_inputs.co_process",
    calls.BroadcastProcess: "two_inputs.broadcast_process",
    calls.Join: "joins.join",
    calls.Aggregate: "aggregates.aggregate",
    calls.WindowApply: "windows.window_apply",
    calls.WindowAggregate: "window_aggregates.window_aggregate",
}
"""The location of the rule, so that a program imports only the rules of the calls that it uses."""


Facts = tuple[tuple[calls.Call, TypeInformation | None], ...]
"""The properties of an input node that rules use."""

_KNOWN: Final[WeakKeyDictionary[calls.Call, tuple[Facts, Lowered]]] = WeakKeyDictionary()


def lowered(call: calls.Call, inputs: Sequence[Node]) -> Lowered:
    """The result of the rule for `call` with `inputs`.

    Cached, because binding expressions costs milliseconds, and both the recorder and the lowering need the result.
    """
    facts: Facts = tuple((node.call, node.output_type) for node in inputs)
    known = _KNOWN.get(call)
    if known is not None and all(a is c and b is d for (a, b), (c, d) in zip(known[0], facts, strict=True)):
        return known[1]
    made = rule_at(RULES[type(call)])(call, inputs)
    _KNOWN[call] = facts, made
    return made


@functools.cache
def rule_at(where: str) -> Rule:
    """The rule at one of the places in `RULES`."""
    module, _, name = where.partition(".")
    found: Rule = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found
