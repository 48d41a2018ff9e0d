"""Functions over the elements of a window (`pyflink.datastream.functions`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from shmflink.core.type_parameters import TakesTypeParameters
from shmflink.datastream.record_functions import Function
from shmflink.operators.windows.window_functions import StateStore, WindowContext

__all__ = [
    "AggregateFunction",
    "AllWindowFunction",
    "KeyedStateStore",
    "ProcessAllWindowFunction",
    "ProcessWindowFunction",
    "WindowFunction",
]


class AggregateFunction(Function):
    """Many values into one accumulator, and its result."""

    @abstractmethod
    def create_accumulator(self) -> Any:
        """A new accumulator, of no value yet."""

    @abstractmethod
    def add(self, value: Any, accumulator: Any) -> Any:
        """The accumulator with one more value; it may be the same object."""

    @abstractmethod
    def get_result(self, accumulator: Any) -> Any:
        """The result of an accumulator."""

    @abstractmethod
    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        """One accumulator of two; only needed for windows that merge."""


class KeyedStateStore(TakesTypeParameters, ABC):
    """State of a key, or of a key and window."""

    @abstractmethod
    def get_state(self, state_descriptor: Any) -> Any:
        """A ValueState."""

    @abstractmethod
    def get_list_state(self, state_descriptor: Any) -> Any:
        """A ListState."""

    @abstractmethod
    def get_map_state(self, state_descriptor: Any) -> Any:
        """A MapState."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: Any) -> Any:
        """A ReducingState."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        """An AggregatingState."""


KeyedStateStore.register(StateStore)


class _Context(TakesTypeParameters, ABC):
    """What `process` may use."""

    @abstractmethod
    def window(self) -> Any:
        """The window that is evaluated."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""

    @abstractmethod
    def window_state(self) -> KeyedStateStore:
        """State of the key and window; clear it in `clear`."""

    @abstractmethod
    def global_state(self) -> KeyedStateStore:
        """State of the key over all its windows."""


_Context.register(WindowContext)


class WindowFunction(Function):
    """Over the elements of one key in one window."""

    @abstractmethod
    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """Yields the results of the window."""


class AllWindowFunction(Function):
    """Over all elements of one window."""

    @abstractmethod
    def apply(self, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """Yields the results of the window."""


class ProcessWindowFunction(Function):
    """Over the elements of one key in one window, with state and times."""

    Context = _Context

    @abstractmethod
    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        """Yields the results of the window."""

    def clear(self, context: Any) -> None:
        """The window goes: clear its state."""


class ProcessAllWindowFunction(Function):
    """Over all elements of one window, with state and times."""

    Context = _Context

    @abstractmethod
    def process(self, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        """Yields the results of the window."""

    def clear(self, context: Any) -> None:
        """The window goes: clear its state."""
