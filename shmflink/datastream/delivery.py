"""What checkpoints cannot promise, told when a job is submitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shmflink.config.checkpoint_options import CHECKPOINT_INTERVAL
from shmflink.planner.transformations import SinkTransformation, SourceTransformation, Transformation, ancestors_first

__all__ = ["check_targets", "delivery_warnings"]


def check_targets(transformations: Iterable[Transformation], configuration: Mapping[str, str]) -> None:
    """Raises JobGraphError where a sink says that the job must not start."""
    for one in ancestors_first(list(transformations)):
        if isinstance(one, SinkTransformation):
            one.sink.check_target(configuration)


def delivery_warnings(transformations: Iterable[Transformation], configuration: Mapping[str, str]) -> list[str]:
    """One text for each source whose records are lost in a failure, where checkpoints let one expect otherwise."""
    if CHECKPOINT_INTERVAL.read(configuration) is None:
        return []
    return [
        f"source '{one.name}' ({type(one.source).__name__}) cannot be read again: after a failure the records since "
        "the last checkpoint are missing (at most once). State and sinks stay consistent with each other"
        for one in ancestors_first(list(transformations))
        if isinstance(one, SourceTransformation) and not one.source.is_replayable
    ]
