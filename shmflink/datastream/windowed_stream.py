"""Operations on the windows of a stream, keyed or over all elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation, Types
from shmflink.datastream import synonyms
from shmflink.datastream.argument_checks import checked_type
from shmflink.datastream.expression_arguments import are_expressions, named_expressions
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.recorded_stream import RecordedStream, S
from shmflink.datastream.window_functions import (
    AggregateFunction,
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from shmflink.errors import JobGraphError
from shmflink.plan.calls import NamedExpressions, WindowAggregate, WindowApply, Windows

if TYPE_CHECKING:
    from shmflink.datastream.functions import ReduceFunction
    from shmflink.datastream.output_tag import OutputTag
    from shmflink.expressions import Expression
    from shmflink.operators.windows.assigners import WindowAssigner
    from shmflink.operators.windows.evictors import Evictor
    from shmflink.operators.windows.triggers import Trigger

__all__ = ["WindowsOf"]

AnyWindowFunction = WindowFunction | ProcessWindowFunction | AllWindowFunction | ProcessAllWindowFunction


class WindowsOf(SaysWhatIsMissing, Generic[S]):
    """The common part of keyed windows and windows over all elements."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.WINDOWED

    _is_all: ClassVar[bool] = False
    _kinds: ClassVar[tuple[type, ...]] = ()

    def __init__(
        self,
        stream: RecordedStream[S],
        window_assigner: WindowAssigner,
        columns: Callable[[], tuple[RecordedStream[S], NamedExpressions]],
    ) -> None:
        """`stream` is keyed, unless the windows are over all elements. `columns()` returns the stream without keys, and
        the keys; it raises an error if the keys are not columns.
        """
        from shmflink.operators.windows.assigners import WindowAssigner
        from shmflink.planner.rules.windows import check_timestamps

        if not isinstance(window_assigner, WindowAssigner):
            raise TypeError(f"window() takes a WindowAssigner, got {window_assigner!r}")
        refuse_coroutines(window_assigner)
        check_timestamps(stream.node, window_assigner, stream.recorded.source_names)
        self._stream = stream
        self._columns = columns
        self._windows = Windows(window_assigner, is_all=self._is_all)

    def get_input_type(self) -> TypeInformation:
        """Type of the elements."""
        return self._stream.declared_type or Types.PICKLED_BYTE_ARRAY()

    def trigger(self, trigger: Trigger) -> Self:
        """Replaces the assigner's default trigger, which determines when a window fires."""
        from shmflink.operators.windows.triggers import Trigger
        from shmflink.planner.rules.windows import check_merging

        if not isinstance(trigger, Trigger):
            raise TypeError(f"trigger() takes a Trigger, got {trigger!r}")
        refuse_coroutines(trigger)
        check_merging(self._windows.assigner, trigger)
        self._windows = replace(self._windows, trigger=trigger)
        return self

    def evictor(self, evictor: Evictor) -> Self:
        """*shmflink only.* (PyFlink has none.) Removes elements from windows when they fire."""
        refuse_coroutines(evictor)
        self._windows = replace(self._windows, evictor=evictor)
        return self

    def allowed_lateness(self, time_ms: int) -> Self:
        """How long after its end a window still accepts elements; each fires the window again. Event time only."""
        if not isinstance(time_ms, int) or time_ms < 0:
            raise JobGraphError(f"allowed_lateness(): milliseconds, 0 or more, got {time_ms!r}")
        self._windows = replace(self._windows, allowed_lateness_ms=time_ms)
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> Self:
        """Sends late elements to this side output of the result instead of dropping them."""
        self._windows = replace(self._windows, late_data=output_tag)
        return self

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction,
        window_function: AnyWindowFunction | None = None,
        output_type: TypeInformation | None = None,
    ) -> S:
        """Reduces the elements of a window as they arrive; the window function, if any, receives only the result."""
        self._check_function(window_function, is_optional=True)
        if window_function is None and checked_type(output_type) is None:
            output_type = self._stream.declared_type
        return self._stream.record(
            WindowApply(
                self._windows,
                self._trigger(),
                "reduce",
                reduce_function,
                None,
                window_function,
                checked_type(output_type),
            )
        )

    def apply(self, window_function: AnyWindowFunction, output_type: TypeInformation | None = None) -> S:
        """Calls the function with all elements of a window."""
        self._check_function(window_function)
        return self._stream.record(
            WindowApply(
                self._windows, self._trigger(), "apply", function=window_function, declared=checked_type(output_type)
            )
        )

    def process(self, process_window_function: AnyWindowFunction, output_type: TypeInformation | None = None) -> S:
        """Calls the function with all elements of a window; it has state and times."""
        return self.apply(process_window_function, output_type)

    def aggregate(
        self,
        aggregate_function: AggregateFunction | Expression | None = None,
        window_function: Any = None,
        accumulator_type: Any = None,
        output_type: Any = None,
        *aggregates: Expression,
        window_start: str | None = "window_start",
        window_end: str | None = "window_end",
        **named: Expression,
    ) -> S:
        """Aggregates the elements of a window as they arrive; the window function, if any, receives only the result.

        *shmflink only:* with expressions over aggregates, emits one row per key and window, computed on columns: the
        key columns, the window's start and end (timestamp[ms], under these names; None omits the column), the
        expressions.

        >>> keyed.window(TumblingEventTimeWindows.of(Time.seconds(10))).aggregate(n=count(), top=col("price").max)
        """
        given = (aggregate_function, window_function, accumulator_type, output_type, *aggregates)
        if are_expressions(given, named):
            while given and given[-1] is None:
                given = given[:-1]
            return self._aggregate_expressions(given, named, (window_start, window_end))
        if aggregate_function is None:
            raise TypeError("aggregate() takes an AggregateFunction, or expressions such as n=count()")
        self._check_function(window_function, is_optional=True)
        kind = RowTypeInfo(accumulator_type) if isinstance(accumulator_type, list) else accumulator_type
        return self._stream.record(
            WindowApply(
                self._windows,
                self._trigger(),
                "aggregate",
                aggregate_function,
                checked_type(kind),
                window_function,
                checked_type(output_type),
            )
        )

    def _aggregate_expressions(
        self, positional: tuple[Any, ...], named: dict[str, Expression], window: tuple[str | None, str | None]
    ) -> S:
        from shmflink.planner.rules.window_aggregates import native_times

        pairs = named_expressions("aggregate", positional, named, aggregates=True)
        native_times(self._windows)
        origin, keys = self._columns()
        return origin.record(WindowAggregate(self._windows, keys, tuple(pairs.items()), *window))

    def _check_function(self, function: AnyWindowFunction | None, *, is_optional: bool = False) -> None:
        if (function is None and is_optional) or isinstance(function, self._kinds):
            return
        names = " or ".join(kind.__name__ for kind in self._kinds)
        raise TypeError(f"window_function should be a {names}, got {function!r}")

    def _trigger(self) -> Trigger:
        """The trigger that was given, or the assigner's default."""
        given = self._windows.trigger
        return given or self._windows.assigner.get_default_trigger(self._stream.get_execution_environment())
