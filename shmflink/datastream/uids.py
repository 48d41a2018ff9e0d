"""`pipeline.auto-generate-uids: false`: every operator has an id of its own."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.errors import JobGraphError
from shmflink.operators.columns.keys import ColumnKeyExtractor
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.planner.transformations import (
    OperatorTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    ancestors_first,
)

__all__ = ["check_uids"]


def check_uids(transformations: Sequence[Transformation]) -> None:
    """JobGraphError that names the operators without a uid; `key_by` makes none that could have one."""
    missing = [t.name for t in ancestors_first(transformations) if _could_have_uid(t) and not (t.uid or t.uid_hash)]
    if missing:
        raise JobGraphError(
            f"pipeline.auto-generate-uids is false, but no uid is set for {', '.join(map(repr, missing))}: "
            "call .uid('...') on each"
        )


def _could_have_uid(transformation: Transformation) -> bool:
    if isinstance(transformation, OperatorTransformation):
        return not isinstance(transformation.operator, (KeyExtractor, ColumnKeyExtractor))
    return isinstance(transformation, (SourceTransformation, SinkTransformation))
