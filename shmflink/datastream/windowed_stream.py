"""Windows over a stream (`pyflink.datastream.data_stream`: WindowedStream, AllWindowedStream)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation, Types
from shmflink.datastream import synonyms
from shmflink.datastream.functions import ReduceFunction
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.output_tag import OutputTag
from shmflink.datastream.time_checks import check_timestamps
from shmflink.datastream.window_aggregates import WindowSettings, aggregate_expressions, are_expressions
from shmflink.datastream.window_functions import (
    AggregateFunction,
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from shmflink.errors import JobGraphError
from shmflink.expressions import Expression
from shmflink.operators.windows.assigners import MergingWindowAssigner, WindowAssigner
from shmflink.operators.windows.evictors import Evictor
from shmflink.operators.windows.triggers import Trigger
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
)

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream, KeyedStream
    from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["AllWindowedStream", "WindowedStream"]


class _Windowed(SaysWhatIsMissing):
    """What windows of one key and windows of all elements have in common."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.WINDOWED

    _is_all = False
    _kinds: tuple[type, ...] = ()

    def __init__(self, stream: KeyedStream, window_assigner: WindowAssigner) -> None:
        """Made by `window()` and `window_all()`, not by users."""
        if not isinstance(window_assigner, WindowAssigner):
            raise TypeError(f"a window is given by a WindowAssigner, got {window_assigner!r}")
        refuse_coroutines(window_assigner)
        check_timestamps(stream.get_transformation(), window_assigner)
        self._stream = stream
        self._settings = WindowSettings(window_assigner)

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment of the stream."""
        return self._stream.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        """Type of the elements."""
        return self._stream.value_type() or Types.PICKLED_BYTE_ARRAY()

    def trigger(self, trigger: Trigger) -> Self:
        """Says when a window fires, instead of the assigner's own trigger."""
        if not isinstance(trigger, Trigger):
            raise TypeError(f"trigger() takes a Trigger, got {trigger!r}")
        refuse_coroutines(trigger)
        _check_merging(self._settings.assigner, trigger)
        self._settings = replace(self._settings, trigger=trigger)
        return self

    def evictor(self, evictor: Evictor) -> Self:
        """*shmflink only.* (PyFlink has none.) Takes elements out of windows that fire."""
        refuse_coroutines(evictor)
        self._settings = replace(self._settings, evictor=evictor)
        return self

    def allowed_lateness(self, time_ms: int) -> Self:
        """For how long after its end a window still takes elements; each fires it again. Event time only."""
        if not isinstance(time_ms, int) or time_ms < 0:
            raise JobGraphError(f"allowed_lateness(): milliseconds, 0 or more, got {time_ms!r}")
        self._settings = replace(self._settings, allowed_lateness_ms=time_ms)
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> Self:
        """Elements that come too late go to this side output of the result, instead of being dropped."""
        self._settings = replace(self._settings, late_data=output_tag)
        return self

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction,
        window_function: Any = None,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Reduces the elements of a window as they come; the window function, if any, sees the one value."""
        self._check_function(window_function, is_optional=True)
        contents = ReducingStateDescriptor(WINDOW_STATE_NAME, reduce_function, self.get_input_type())
        if window_function is None and output_type is None:
            output_type = self._stream.value_type()
        return self._result(contents, window_function, output_type)

    def apply(self, window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls the function with all elements of a window."""
        self._check_function(window_function)
        contents = ListStateDescriptor(WINDOW_STATE_NAME, self.get_input_type())
        return self._result(contents, window_function, output_type)

    def process(self, process_window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls the function with all elements of a window, state and times."""
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
    ) -> DataStream:
        """Aggregates the elements of a window as they come; the window function, if any, sees the one result.

        *shmflink only:* with expressions over aggregates one row for each key and window, computed on columns: the key
        columns, the window's start and end (timestamp[ms], under these names; None leaves one out), the expressions.

        >>> keyed.window(TumblingEventTimeWindows.of(Time.seconds(10))).aggregate(n=count(), top=col("price").max)
        """
        given = (aggregate_function, window_function, accumulator_type, output_type, *aggregates)
        if are_expressions(given, named):
            while given and given[-1] is None:
                given = given[:-1]
            names = (window_start, window_end)
            return aggregate_expressions(self._stream, self._settings, given, named, names, is_all=self._is_all)
        if aggregate_function is None:
            raise TypeError("aggregate() takes an AggregateFunction, or expressions such as n=count()")
        self._check_function(window_function, is_optional=True)
        if isinstance(accumulator_type, list):
            accumulator_type = RowTypeInfo(accumulator_type)
        kind = accumulator_type or Types.PICKLED_BYTE_ARRAY()
        contents = AggregatingStateDescriptor(WINDOW_STATE_NAME, aggregate_function, kind)
        return self._result(contents, window_function, output_type)

    def _check_function(self, function: Any, *, is_optional: bool = False) -> None:
        if (function is None and is_optional) or isinstance(function, self._kinds):
            return
        names = " or ".join(kind.__name__ for kind in self._kinds)
        raise TypeError(f"window_function should be a {names}, got {function!r}")

    def _result(self, contents: StateDescriptor, function: Any, output_type: TypeInformation | None) -> DataStream:
        settings = self._settings
        if settings.evictor is not None and not isinstance(contents, ListStateDescriptor):
            raise JobGraphError("an evictor needs the elements themselves: use apply() or process()")
        trigger = settings.trigger or settings.assigner.get_default_trigger(self.get_execution_environment())
        _check_merging(settings.assigner, trigger, contents)
        spec = WindowSpec(
            settings.assigner,
            trigger,
            contents,
            settings.allowed_lateness_ms,
            settings.late_data,
            settings.evictor,
            self._is_all,
        )
        result = self._stream.transform(
            type(settings.assigner).__name__, WindowOperator(spec, function, output_type), output_type
        )
        kind = "AllWindow" if self._is_all else "Window"
        result.set_description(f"{kind}({settings.assigner}, {type(spec.trigger).__name__})")
        return result.force_non_parallel() if self._is_all else result


class WindowedStream(_Windowed):
    """A keyed stream whose elements are in windows."""

    _kinds = (WindowFunction, ProcessWindowFunction)


class AllWindowedStream(_Windowed):
    """A stream whose elements are in windows, all in one subtask."""

    _is_all = True
    _kinds = (AllWindowFunction, ProcessAllWindowFunction)


def _check_merging(assigner: WindowAssigner, trigger: Trigger, contents: StateDescriptor | None = None) -> None:
    """Windows that merge need a trigger and contents that do.

    Raises:
        JobGraphError: one of them does not.
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
