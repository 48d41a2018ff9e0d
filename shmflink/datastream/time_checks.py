"""What can be said of event time before a job runs: whether rows can have timestamps at all."""

from __future__ import annotations

from shmflink.errors import JobGraphError
from shmflink.operators.functions.process import KeyedOperator
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.operators.windows.assigners import WindowAssigner
from shmflink.planner.transformations import OperatorTransformation, SourceTransformation, Transformation

__all__ = ["check_timestamps"]


def check_timestamps(stream: Transformation, assigner: WindowAssigner) -> None:
    """
    Raises:
        JobGraphError: windows by event time over rows none of which has a timestamp.
    """
    if not assigner.is_event_time() or _may_have_timestamps(stream):
        return
    raise JobGraphError(
        f"window({assigner!r}): windows by event time need timestamps, and the stream of {_names(stream)} has none: "
        "call assign_timestamps_and_watermarks() before key_by(), or give from_source() a WatermarkStrategy with "
        "with_timestamp_column() or with_timestamp_assigner(), or use windows by processing time"
    )


def _may_have_timestamps(stream: Transformation) -> bool:
    """False where no source gives timestamps and nothing between sets any. Timers and windows set them, too."""
    match stream:
        case SourceTransformation(source=source, watermark_strategy=strategy):
            return source.gives_timestamps or (strategy is not None and strategy.timestamp_assigner is not None)
        case OperatorTransformation(operator=TimestampsAndWatermarksOperator(assigns=True)):
            return True
        case OperatorTransformation(operator=operator) if _sets_timestamps(operator):
            return True
    return any(map(_may_have_timestamps, stream.inputs))


def _sets_timestamps(operator: object) -> bool:
    """Keyed functions have timers, whose outputs have their times; what is not known of our operators may do so."""
    known = type(operator).__module__.startswith("shmflink.operators.")
    return isinstance(operator, KeyedOperator) or "windows" in type(operator).__module__ or not known


def _names(stream: Transformation) -> str:
    """The sources, for the message."""
    sources: dict[str, None] = {}
    waiting = [stream]
    while waiting:
        one = waiting.pop()
        waiting += one.inputs
        if isinstance(one, SourceTransformation):
            sources[f"'{one.name}'"] = None
    return " and ".join(sources)
