"""Checks of a whole plan when it is submitted: uids, targets of sinks, sources that checkpoints cannot replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shmflink.config.checkpoint_options import CHECKPOINT_INTERVAL
from shmflink.errors import JobGraphError
from shmflink.plan.calls import Read, Values, Write
from shmflink.plan.place import named

if TYPE_CHECKING:
    from shmflink.plan.logical_plan import LogicalPlan

__all__ = ["check_targets", "check_uids", "delivery_warnings"]


def check_uids(plan: LogicalPlan) -> None:
    """`pipeline.auto-generate-uids: false`: checks that every operator of the program has a uid.

    Raises:
        JobGraphError: names the operators without a uid, with their lines.
    """
    missing = [
        named(node.name, node.place)
        for node in plan
        if node.call.is_operator
        and not isinstance(node.call, Values)
        and not (node.settings.uid or node.settings.uid_hash)
    ]
    if missing:
        raise JobGraphError(
            f"pipeline.auto-generate-uids is false, but no uid is set for {', '.join(missing)}: "
            "call .uid('...') on each"
        )


def check_targets(plan: LogicalPlan, configuration: Mapping[str, str]) -> None:
    """Raises JobGraphError if a sink refuses to start the job."""
    for node in plan:
        if isinstance(node.call, Write):
            node.call.sink.check_target(configuration)


def delivery_warnings(plan: LogicalPlan, configuration: Mapping[str, str]) -> list[str]:
    """A message for each source whose records are lost in a failure although the job has checkpoints."""
    if CHECKPOINT_INTERVAL.read(configuration) is None:
        return []
    return [
        f"source '{node.name}' ({type(node.call.source).__name__}) cannot be read again: after a failure the records "
        "since the last checkpoint are missing (at most once). State and sinks stay consistent with each other"
        for node in plan
        if isinstance(node.call, Read) and not node.call.source.is_replayable
    ]
