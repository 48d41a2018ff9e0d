"""Functions over the elements of a window (`pyflink.datastream.functions`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic

from shmflink.core.types.parameters import ACC, IN, KEY, OUT, W2, TakesTypeParameters, W
from shmflink.datastream.keyed_state_store import KeyedStateStore
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


class AggregateFunction(Function, Generic[IN, ACC, OUT]):
    """Adds many values to one accumulator and computes its result."""

    @abstractmethod
    def create_accumulator(self) -> ACC:
        """A new, empty accumulator."""

    @abstractmethod
    def add(self, value: IN, accumulator: ACC) -> ACC:
        """The accumulator after adding the value; it may be the same object."""

    @abstractmethod
    def get_result(self, accumulator: ACC) -> OUT:
        """The result of an accumulator."""

    @abstractmethod
    def merge(self, acc_a: ACC, acc_b: ACC) -> ACC:
        """Merges two accumulators; only needed for windows that merge."""


KeyedStateStore.register(StateStore)


class _Context(TakesTypeParameters, ABC, Generic[W]):
    """The context of `process`."""

    @abstractmethod
    def window(self) -> W:
        """The window that is evaluated."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""

    @abstractmethod
    def window_state(self) -> KeyedStateStore:
        """State per key and window; clear it in `clear`."""

    @abstractmethod
    def global_state(self) -> KeyedStateStore:
        """State per key, shared by all its windows."""


_Context.register(WindowContext)


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Called with the elements of one key in one window."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """Yields the results of the window."""


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """Called with all elements of one window."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """Yields the results of the window."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Called with the elements of one key in one window; has state and times."""

    if TYPE_CHECKING:

        class Context(_Context[W2]):
            """Same as `_Context`; pyright does not accept a type parameter as an alias."""
    else:
        Context = _Context

    @abstractmethod
    def process(self, key: KEY, context: Any, elements: Iterable[IN]) -> Iterable[OUT]:
        """Yields the results of the window."""

    def clear(self, context: Any) -> None:
        """Called when the window is purged: clear its state."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """Called with all elements of one window; has state and times."""

    if TYPE_CHECKING:

        class Context(_Context[W2]):
            """Same as `_Context`; pyright does not accept a type parameter as an alias."""
    else:
        Context = _Context

    @abstractmethod
    def process(self, context: Any, elements: Iterable[IN]) -> Iterable[OUT]:
        """Yields the results of the window."""

    def clear(self, context: Any) -> None:
        """Called when the window is purged: clear its state."""
