"""Functions that see an element with its time, its key, state and timers (`pyflink.datastream.functions`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from shmflink.core.types.parameters import IN, IN2, OUT, TakesTypeParameters
from shmflink.datastream.record_functions import Function
from shmflink.operators.functions.process_context import ProcessContext

if TYPE_CHECKING:
    from shmflink.operators.time.timer_service import NoTimers, TimeDomain, TimerService
    from shmflink.state.broadcast_state import BroadcastState
    from shmflink.state.descriptors import MapStateDescriptor

__all__ = [
    "BaseBroadcastProcessFunction",
    "BroadcastProcessFunction",
    "CoFlatMapFunction",
    "CoMapFunction",
    "CoProcessFunction",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "ProcessFunction",
]

Emitted = Iterable[Any] | None
"""Elements; `(OutputTag, element)` goes to a side output. None = nothing."""


class _Timed(TakesTypeParameters, ABC):
    """The context on streams without keys: the element's time. `timer_service()` returns times and refuses timers."""

    @abstractmethod
    def timer_service(self) -> TimerService | NoTimers:
        """Current times; on keyed streams also timers of the current key."""

    @abstractmethod
    def timestamp(self) -> int:
        """Timestamp of the element or of the timer that fires, in ms; None in streams without timestamps."""


class _Keyed(_Timed):
    """The context on keyed streams."""

    @abstractmethod
    def timer_service(self) -> TimerService:
        """Timers of the current key, and the current times."""

    @abstractmethod
    def get_current_key(self) -> Any:
        """Key of the element or of the timer that fires."""


class _OnTimer(_Keyed):
    """The context in `on_timer`."""

    @abstractmethod
    def time_domain(self) -> TimeDomain:
        """Whether the timer waited for event time or processing time."""


for _context in (_Timed, _Keyed, _OnTimer):
    _context.register(ProcessContext)


class ProcessFunction(Function):
    """One element in, any number out."""

    Context: TypeAlias = _Timed

    @abstractmethod
    def process_element(self, value: Any, ctx: Any) -> Emitted:
        """Yields the outputs for the element."""


class KeyedProcessFunction(Function):
    """One element in, any number out, with state of its key and timers."""

    Context: TypeAlias = _Keyed
    OnTimerContext: TypeAlias = _OnTimer

    @abstractmethod
    def process_element(self, value: Any, ctx: Any) -> Emitted:
        """Yields the outputs for the element."""

    def on_timer(self, timestamp: int, ctx: Any) -> Emitted:
        """Yields the outputs for the timer."""
        return None


class CoMapFunction(Function, Generic[IN, IN2, OUT]):
    """One value out for each element of either input."""

    @abstractmethod
    def map1(self, value: IN) -> OUT:
        """Called for an element of the first input."""

    @abstractmethod
    def map2(self, value: IN2) -> OUT:
        """Called for an element of the second input."""


class CoFlatMapFunction(Function):
    """Any number out for each element of either input."""

    @abstractmethod
    def flat_map1(self, value: Any) -> Emitted:
        """Called for an element of the first input."""

    @abstractmethod
    def flat_map2(self, value: Any) -> Emitted:
        """Called for an element of the second input."""


class CoProcessFunction(Function):
    """Two inputs."""

    Context: TypeAlias = _Timed

    @abstractmethod
    def process_element1(self, value: Any, ctx: Any) -> Emitted:
        """Called for an element of the first input."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: Any) -> Emitted:
        """Called for an element of the second input."""


class KeyedCoProcessFunction(Function):
    """Two keyed inputs; elements with equal keys share state and timers."""

    Context: TypeAlias = _Keyed
    OnTimerContext: TypeAlias = _OnTimer

    @abstractmethod
    def process_element1(self, value: Any, ctx: Any) -> Emitted:
        """Called for an element of the first input."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: Any) -> Emitted:
        """Called for an element of the second input."""

    def on_timer(self, timestamp: int, ctx: Any) -> Emitted:
        """Yields the outputs for the timer."""
        return None


class _Broadcast(TakesTypeParameters, ABC):
    """The context in broadcast functions."""

    @abstractmethod
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState:
        """The broadcast state; only the broadcast side may modify it."""

    @abstractmethod
    def timestamp(self) -> int:
        """Timestamp of the element in ms; None in streams without timestamps."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""


_Broadcast.register(ProcessContext)


class BaseBroadcastProcessFunction(Function):
    """The common part of functions with a broadcast input."""

    BaseContext: TypeAlias = _Broadcast
    Context: TypeAlias = _Broadcast
    ReadOnlyContext: TypeAlias = _Broadcast


class BroadcastProcessFunction(BaseBroadcastProcessFunction):
    """Processes a stream together with a broadcast stream."""

    @abstractmethod
    def process_element(self, value: Any, ctx: Any) -> Emitted:
        """Processes an element of the stream; may read broadcast state."""

    @abstractmethod
    def process_broadcast_element(self, value: Any, ctx: Any) -> Emitted:
        """Processes an element of the broadcast stream; every subtask must change the state in the same way."""


class _KeyedBroadcast(_Broadcast):
    """The context for the keyed side of keyed broadcast functions."""

    @abstractmethod
    def timer_service(self) -> TimerService:
        """Timers of the current key, and the current times."""

    @abstractmethod
    def get_current_key(self) -> Any:
        """Key of the element or of the timer that fires."""


class _BroadcastOnTimer(_KeyedBroadcast):
    """The context in `on_timer` of keyed broadcast functions."""

    @abstractmethod
    def time_domain(self) -> TimeDomain:
        """Whether the timer waited for event time or processing time."""


_KeyedBroadcast.register(ProcessContext)
_BroadcastOnTimer.register(ProcessContext)


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction):
    """Processes a keyed stream together with a broadcast stream."""

    ReadOnlyContext: TypeAlias = _KeyedBroadcast
    OnTimerContext: TypeAlias = _BroadcastOnTimer

    @abstractmethod
    def process_element(self, value: Any, ctx: Any) -> Emitted:
        """Processes an element of the keyed stream; may read broadcast state."""

    @abstractmethod
    def process_broadcast_element(self, value: Any, ctx: Any) -> Emitted:
        """Processes an element of the broadcast stream; every subtask must change the state in the same way."""

    def on_timer(self, timestamp: int, ctx: Any) -> Emitted:
        """Yields the outputs for the timer."""
        return None
