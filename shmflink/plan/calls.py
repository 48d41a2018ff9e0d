"""The calls of a program: one frozen type for each kind of call.

A call has what the user wrote (functions, expressions, windows, sources, sinks) and nothing about how it will run.
`declared` is the `output_type=` of the call. Input types, names and settings are the node's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation

if TYPE_CHECKING:
    from shmflink.connectors.base import Sink, Source
    from shmflink.core.output_tag import OutputTag
    from shmflink.core.ship_strategy import ShipStrategy
    from shmflink.core.watermark_strategy import WatermarkStrategy
    from shmflink.expressions import Expression
    from shmflink.operators.asynchronous.retry import RetryStrategy
    from shmflink.operators.base import Operator
    from shmflink.operators.joins.spec import JoinHow
    from shmflink.operators.windows.assigners import WindowAssigner
    from shmflink.operators.windows.evictors import Evictor
    from shmflink.operators.windows.triggers import Trigger
    from shmflink.state.descriptors import MapStateDescriptor

__all__ = [
    "Aggregate",
    "Apply",
    "AsColumns",
    "AssignTimestamps",
    "AsyncWait",
    "BroadcastProcess",
    "Call",
    "CallOfFunction",
    "CoFlatMap",
    "CoMap",
    "CoProcess",
    "Declared",
    "EveryUpdate",
    "Explode",
    "Filter",
    "FilterColumns",
    "Final",
    "FlatMap",
    "Join",
    "KeyBy",
    "KeysAndElements",
    "Map",
    "MapBatches",
    "NamedExpressions",
    "Partition",
    "PartitionCustom",
    "Process",
    "Project",
    "Read",
    "Reduce",
    "RollingAggregate",
    "RollingKind",
    "Select",
    "SideOutput",
    "Union",
    "Values",
    "WindowAggregate",
    "WindowApply",
    "Windows",
    "Write",
]

NamedExpressions: TypeAlias = "tuple[tuple[str, Expression], ...]"
Declared = TypeInformation | None
RollingKind = Literal["sum", "min", "max", "min_by", "max_by"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Call:
    """Base class. `is_operator`: whether name, uid, parallelism and other settings can be set on it."""

    is_operator: ClassVar[bool] = True


# --- sources and sinks ---


@dataclass(frozen=True, slots=True, eq=False)
class Read(Call):
    """The elements of a source."""

    source: Source
    title: str
    declared: Declared = None
    watermark_strategy: WatermarkStrategy | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Write(Call):
    """Writes every element to a sink."""

    sink: Sink
    title: str


# --- per-record functions ---


@dataclass(frozen=True, slots=True, eq=False)
class CallOfFunction(Call):
    """Calls a user's function. Subclasses add no fields, so they need not be dataclasses, which take time to create."""

    function: Any
    declared: Declared = None


class Map(CallOfFunction):
    """One element out for each element."""

    __slots__ = ()


class FlatMap(CallOfFunction):
    """Any number of elements out for each element."""

    __slots__ = ()


class Filter(CallOfFunction):
    """Keeps the elements for which the function is true."""

    __slots__ = ()


class MapBatches(CallOfFunction):
    """Record batches out for each record batch."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AsyncWait(CallOfFunction):
    """Calls a coroutine for each element or batch, with at most `capacity` calls in flight.

    `timeout_ms`: for all attempts of a call; 0 = no limit.
    """

    is_ordered: bool
    timeout_ms: int
    capacity: int
    is_of_batches: bool = False
    retry: RetryStrategy | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Project(Call):
    """Fields of tuples, by index."""

    fields: tuple[int, ...]


class Process(CallOfFunction):
    """A ProcessFunction or, on a keyed stream, a KeyedProcessFunction."""

    __slots__ = ()


class Reduce(CallOfFunction):
    """Combines the elements of each key, two at a time."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class RollingAggregate(Call):
    """The sum, minimum, ... of a field so far, for each element. `field`: its position or name."""

    kind: RollingKind
    field: int | str


@dataclass(frozen=True, slots=True, eq=False)
class AssignTimestamps(Call):
    strategy: WatermarkStrategy


@dataclass(frozen=True, slots=True, eq=False)
class Apply(Call):
    """A custom operator."""

    title: str
    operator: Operator
    declared: Declared = None


# --- columns ---


@dataclass(frozen=True, slots=True, eq=False)
class Select(Call):
    """Exactly these columns. `title` and `text` show the program's call: `WithColumns(a + 1 AS b)`."""

    columns: NamedExpressions
    title: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class FilterColumns(Call):
    predicate: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Explode(Call):
    name: str
    array: Expression
    is_outer: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class AsColumns(Call):
    columns: ColumnsTypeInfo


# --- keys, partitioning, several streams ---


@dataclass(frozen=True, slots=True, eq=False)
class KeyBy(Call):
    """Sends elements with equal keys to one subtask. `key`: a function of the element, or columns by name."""

    key: Any | NamedExpressions
    key_type: Declared = None
    is_operator: ClassVar[bool] = False

    @property
    def columns(self) -> NamedExpressions | None:
        """The key columns; None if a function computes the keys."""
        return self.key if isinstance(self.key, tuple) else None


class Values(Call):
    """The elements of a keyed stream, without keys, in the subtasks of their keys."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class KeysAndElements(Call):
    """`Row(f0=key, f1=element)` for each element, before the exchange by key."""

    key: KeyBy


@dataclass(frozen=True, slots=True, eq=False)
class Partition(Call):
    strategy: ShipStrategy
    is_operator: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class PartitionCustom(Call):
    """`partitioner`: a Partitioner, or (key, number of partitions) -> index; `key`: a function of the element."""

    partitioner: Any
    key: Any
    is_operator: ClassVar[bool] = False


class Union(Call):
    """All elements of several streams of the same type."""

    __slots__ = ()
    is_operator: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class SideOutput(Call):
    tag: OutputTag
    is_operator: ClassVar[bool] = False


class Final(Call):
    """Only the last row of each key."""

    __slots__ = ()
    is_operator: ClassVar[bool] = False


class EveryUpdate(Call):
    """Every update as a separate row."""

    __slots__ = ()
    is_operator: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class Join(Call):
    """Pairs of rows whose keys are equal. `merges_keys`: each pair of keys is one column of the result."""

    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    how: JoinHow
    merges_keys: bool
    suffix: str


class CoMap(CallOfFunction):
    """One element out for each element of either input."""

    __slots__ = ()


class CoFlatMap(CallOfFunction):
    """Any number of elements out for each element of either input."""

    __slots__ = ()


class CoProcess(CallOfFunction):
    """A CoProcessFunction or, on keyed streams, a KeyedCoProcessFunction."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class BroadcastProcess(Call):
    """The second input is broadcast; its elements update the states that `states` describe."""

    function: Any
    states: tuple[MapStateDescriptor, ...]
    declared: Declared = None


# --- aggregates and windows ---


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate(Call):
    """One row per key: the keys, then expressions over aggregates. Without keys, one row over all; without results, the
    distinct keys."""

    keys: NamedExpressions
    results: NamedExpressions


@dataclass(frozen=True, slots=True)
class Windows:
    """How elements are assigned to windows and when a window fires. Without `trigger`, the assigner's default.

    `is_all`: windows over all elements, not per key.
    """

    assigner: WindowAssigner
    trigger: Trigger | None = None
    evictor: Evictor | None = None
    allowed_lateness_ms: int = 0
    late_data: OutputTag | None = None
    is_all: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class WindowApply(Call):
    """Functions over the elements of a window. The input is keyed, unless the windows are over all elements.

    `method`: `reduce` and `aggregate` combine elements with `combine` as they arrive, `apply` stores them; `function`,
    if any, is called with the contents when the window fires. `trigger`: the given one, or the assigner's default.
    """

    windows: Windows
    trigger: Trigger
    method: Literal["reduce", "aggregate", "apply"]
    combine: Any = None
    accumulator_type: Declared = None
    function: Any = None
    declared: Declared = None


@dataclass(frozen=True, slots=True, eq=False)
class WindowAggregate(Call):
    """One row per key and window; `start`, `end`: names of the window's columns, None omits the column."""

    windows: Windows
    keys: NamedExpressions
    results: NamedExpressions
    start: str | None
    end: str | None
