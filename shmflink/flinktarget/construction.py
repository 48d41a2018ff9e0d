"""How PyFlink makes what a plan holds: types, tags, descriptors of states, windows, triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.output_tag import OutputTag
from shmflink.core.time_units import Duration, Time
from shmflink.core.types import typeinfo
from shmflink.operators.windows import assigners, triggers
from shmflink.state import descriptors

__all__ = ["Construction", "construction_of", "text_of"]


@dataclass(frozen=True, slots=True)
class Construction:
    """A call, by PyFlink's name: `Types.LIST` of these arguments. Arguments may be constructed themselves."""

    name: str
    arguments: tuple[Any, ...] = ()


def construction_of(value: object) -> Construction | None:
    """How PyFlink makes an equal object; None for what is not in the table."""
    make = _KINDS.get(type(value))
    return None if make is None else make(value)


def text_of(value: object) -> str | None:
    """The value as Python text for PyFlink; None where it has none."""
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, list):
        texts = [text_of(item) for item in value]
        return None if None in texts else f"[{', '.join(str(text) for text in texts)}]"
    made = construction_of(value)
    if made is None:
        return None
    arguments = text_of(list(made.arguments))
    return None if arguments is None else f"{made.name}({arguments[1:-1]})"


def _row(info: typeinfo.RowTypeInfo) -> Construction:
    names, types = info.get_field_names(), info.get_field_types()
    if names == [f"f{index}" for index in range(len(types))]:
        return Construction("Types.ROW", (types,))
    return Construction("Types.ROW_NAMED", (names, types))


def _plain(name: str) -> Callable[[Any], Construction]:
    return lambda _: Construction(name)


def _array(name: str) -> Callable[[Any], Construction]:
    return lambda info: Construction(f"Types.{name}", (info.element_type,))


def _state(descriptor: descriptors.StateDescriptor, *arguments: object) -> Construction | None:
    """None where the state has a time to live: its settings are not in the table."""
    if descriptor.ttl_config is not None:
        return None
    return Construction(type(descriptor).__name__, (descriptor.name, *arguments))


def _map_state(descriptor: descriptors.MapStateDescriptor) -> Construction | None:
    kind = descriptor.type_info
    assert isinstance(kind, typeinfo.MapTypeInfo), kind
    return _state(descriptor, kind.key_type, kind.value_type)


def _windows(*fields: str) -> Callable[[Any], Construction]:
    return lambda windows: Construction(type(windows).__name__, tuple(getattr(windows, field) for field in fields))


_KINDS: Final[dict[type, Callable[[Any], Construction | None]]] = {
    typeinfo.BasicTypeInfo: lambda info: Construction(f"Types.{info.basic_type.name}"),
    typeinfo.InstantTypeInfo: _plain("Types.INSTANT"),
    typeinfo.DateTypeInfo: _plain("Types.SQL_DATE"),
    typeinfo.TimeTypeInfo: _plain("Types.SQL_TIME"),
    typeinfo.TimestampTypeInfo: _plain("Types.SQL_TIMESTAMP"),
    typeinfo.PickledBytesTypeInfo: _plain("Types.PICKLED_BYTE_ARRAY"),
    typeinfo.PrimitiveArrayTypeInfo: _array("PRIMITIVE_ARRAY"),
    typeinfo.BasicArrayTypeInfo: _array("BASIC_ARRAY"),
    typeinfo.ObjectArrayTypeInfo: _array("OBJECT_ARRAY"),
    typeinfo.ListTypeInfo: _array("LIST"),
    typeinfo.MapTypeInfo: lambda info: Construction("Types.MAP", (info.key_type, info.value_type)),
    typeinfo.TupleTypeInfo: lambda info: Construction("Types.TUPLE", (info.get_field_types(),)),
    typeinfo.RowTypeInfo: _row,
    OutputTag: lambda tag: Construction("OutputTag", (tag.tag_id, tag.declared_type)),
    Duration: lambda span: Construction("Duration.of_millis", (span.to_millis(),)),
    Time: lambda span: Construction("Time.milliseconds", (span.to_milliseconds(),)),
    descriptors.ValueStateDescriptor: lambda it: _state(it, it.type_info),
    descriptors.ListStateDescriptor: lambda it: _state(it, it.type_info),
    descriptors.MapStateDescriptor: _map_state,
    descriptors.ReducingStateDescriptor: lambda it: _state(it, it.get_reduce_function(), it.type_info),
    descriptors.AggregatingStateDescriptor: lambda it: _state(it, it.get_agg_function(), it.type_info),
    assigners.TumblingEventTimeWindows: _windows("size", "offset"),
    assigners.TumblingProcessingTimeWindows: _windows("size", "offset"),
    assigners.SlidingEventTimeWindows: _windows("size", "slide", "offset"),
    assigners.SlidingProcessingTimeWindows: _windows("size", "slide", "offset"),
    assigners.EventTimeSessionWindows: _windows("session_gap"),
    assigners.ProcessingTimeSessionWindows: _windows("session_gap"),
    assigners.GlobalWindows: _windows(),
    assigners.CountTumblingWindowAssigner: _windows("window_size"),
    assigners.CountSlidingWindowAssigner: _windows("window_size", "window_slide"),
    triggers.EventTimeTrigger: _plain("EventTimeTrigger.create"),
    triggers.ProcessingTimeTrigger: _plain("ProcessingTimeTrigger.create"),
    triggers.NeverTrigger: _plain("NeverTrigger"),
    triggers.CountTrigger: lambda it: Construction("CountTrigger.of", (it.window_size,)),
    triggers.PurgingTrigger: lambda it: Construction("PurgingTrigger.of", (it.nested_trigger,)),
    triggers.ContinuousEventTimeTrigger: lambda it: Construction("ContinuousEventTimeTrigger", (it.interval,)),
    triggers.ContinuousProcessingTimeTrigger: lambda it: Construction(
        "ContinuousProcessingTimeTrigger", (it.interval,)
    ),
}
