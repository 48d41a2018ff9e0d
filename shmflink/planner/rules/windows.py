"""Functions over the elements of windows, and what windows require of their input stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import JobGraphError
from shmflink.operators.functions.user_function import describe_function
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.operators.windows.assigners import MergingWindowAssigner, WindowAssigner
from shmflink.operators.windows.triggers import EventTimeTrigger, ProcessingTimeTrigger, Trigger
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.planner.lowered import Lowered, Piece, Routing, Subtasks
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
)

if TYPE_CHECKING:
    from shmflink.plan.calls import WindowApply, Windows
    from shmflink.plan.node import Node

__all__ = ["NEEDS_ELEMENTS", "check_merging", "check_timestamps", "has_default_trigger", "window_apply"]

NEEDS_ELEMENTS = "an evictor needs the elements themselves: use apply() or process()"


def window_apply(call: WindowApply, inputs: Sequence[Node]) -> Lowered:
    """
    Raises:
        JobGraphError: an evictor is used without stored elements, or merging windows with a trigger or contents that
            cannot merge.
    """
    windows = call.windows
    contents = _contents(call, inputs[0].output_type)
    if windows.evictor is not None and call.method != "apply":
        raise JobGraphError(NEEDS_ELEMENTS)
    check_merging(windows.assigner, call.trigger, contents)
    spec = WindowSpec(
        windows.assigner,
        call.trigger,
        contents,
        windows.allowed_lateness_ms,
        windows.late_data,
        windows.evictor,
        windows.is_all,
    )
    kind = "AllWindow" if windows.is_all else "Window"
    piece = Piece(
        type(windows.assigner).__name__,
        WindowOperator(spec, call.function, call.declared),
        call.declared,
        f"{kind}({windows.assigner}, {type(call.trigger).__name__})",
        Subtasks.ONE_FOR_GOOD if windows.is_all else Subtasks.DEFAULT,
    )
    why = f"per record: {_why(call)}"
    if not windows.is_all:
        return Lowered(piece.name, call.declared, why, operators=(piece,))
    one_key = Piece("KeyBy", KeyExtractor(_one_key), inputs[0].output_type, subtasks=Subtasks.LIKE_INPUT)
    return Lowered(piece.name, call.declared, why, (one_key,), Routing(ShipStrategy.HASH), (piece,))


def _one_key(_element: Any) -> int:
    """Window operators store state by key; windows over all elements use a single key (as in Flink)."""
    return 0


def _contents(call: WindowApply, declared: TypeInformation | None) -> StateDescriptor:
    """How the elements of a window are stored."""
    element_type = declared or Types.PICKLED_BYTE_ARRAY()
    if call.method == "reduce":
        return ReducingStateDescriptor(WINDOW_STATE_NAME, call.combine, element_type)
    if call.method == "aggregate":
        accumulator_type = call.accumulator_type or Types.PICKLED_BYTE_ARRAY()
        return AggregatingStateDescriptor(WINDOW_STATE_NAME, call.combine, accumulator_type)
    return ListStateDescriptor(WINDOW_STATE_NAME, element_type)


def _why(call: WindowApply) -> str:
    """Why these windows are not native, and what would make them native."""
    windows = call.windows
    if windows.evictor is not None:
        return "the windows have an evictor"
    if not has_default_trigger(windows):
        name = type(call.trigger).__name__
        is_ours = type(call.trigger).__module__.startswith("shmflink.")
        return f"the trigger is a {name}" if is_ours else f"the trigger is a user's class, {name}"
    if windows.assigner.fixed_times() is None:
        return f"{type(windows.assigner).__name__} assigns windows that depend on more than time"
    function = call.combine if call.combine is not None else call.function
    return f"calls {describe_function(function)}; aggregate() over expressions would be native"


def has_default_trigger(windows: Windows) -> bool:
    """Whether the windows fire at their end, like native ones."""
    default = EventTimeTrigger if windows.assigner.is_event_time() else ProcessingTimeTrigger
    return windows.trigger is None or type(windows.trigger) is default


def check_merging(assigner: WindowAssigner, trigger: Trigger, contents: StateDescriptor | None = None) -> None:
    """Checks that merging windows have a trigger and contents that can merge.

    Raises:
        JobGraphError: one of them cannot merge.
    """
    if not isinstance(assigner, MergingWindowAssigner):
        return
    if not trigger.can_merge():
        raise JobGraphError(
            f"{trigger} cannot be used with {assigner}, whose windows merge: can_merge() is False. Use "
            "EventTimeTrigger, ProcessingTimeTrigger, CountTrigger, or define can_merge() and on_merge()"
        )
    if isinstance(contents, AggregatingStateDescriptor):
        function = contents.get_agg_function()
        if not callable(getattr(function, "merge", None)):
            name = type(function).__name__
            raise JobGraphError(f"aggregate(): windows of {assigner} merge, so {name} must define merge(acc_a, acc_b)")


def check_timestamps(stream: Node, assigner: WindowAssigner, sources: Callable[[], Iterable[str]]) -> None:
    """`sources`: names of the sources of `stream`, for the message.

    Raises:
        JobGraphError: windows by event time over rows without timestamps.
    """
    if not assigner.is_event_time() or stream.has_timestamps:
        return
    names = " and ".join(dict.fromkeys(f"'{name}'" for name in sources()))
    raise JobGraphError(
        f"window({assigner!r}): windows by event time need timestamps, but the stream of {names} has none: "
        "call assign_timestamps_and_watermarks() before key_by(), or give from_source() a WatermarkStrategy with "
        "with_timestamp_column() or with_timestamp_assigner(), or use windows by processing time"
    )
