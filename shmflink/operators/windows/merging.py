"""Windows that grow together: which windows a key has and under which one its state lies (Flink: MergingWindowSet)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from shmflink.operators.windows.assigners import MergingWindowAssigner

__all__ = ["MergeFunction", "MergingWindowSet"]

MergeFunction = Callable[[Any, list[Any], Any, list[Any]], None]
"""(result, merged windows, window under which the result's state lies, windows whose state goes into it)."""


class MergingWindowSet:
    """The windows of one key. `mapping`, window -> window under which its state lies, is state itself.

    State stays where the first of the merged windows had it: merging moves as little as possible.
    """

    def __init__(self, assigner: MergingWindowAssigner, mapping: dict[Any, Any]) -> None:
        """`mapping` is changed in place."""
        self._assigner = assigner
        self._mapping = mapping

    def state_window(self, window: Any) -> Any:
        """Where the state of a window that `add` returned lies."""
        return self._mapping[window]

    def retire(self, window: Any) -> None:
        """The window is over."""
        del self._mapping[window]

    def add(self, new: Any, merge_function: MergeFunction) -> Any:
        """Adds a window, merges what has to be merged, and returns the window that `new` is now part of."""
        merges: list[tuple[Any, list[Any]]] = []
        self._assigner.merge_windows([*self._mapping, new], _Collect(merges))
        result, was_merged = new, False
        for merged_into, merged in merges:
            if new in merged:
                result, was_merged = merged_into, True
            # Oldest first, so that elements of merged windows come in the same order everywhere.
            taken = set(merged)
            members = [window for window in self._mapping if window in taken]
            if not members:
                continue
            state_window, *state_windows = [self._mapping.pop(window) for window in members]
            self._mapping[merged_into] = state_window
            if members != [merged_into]:  # else the new window lies within an old one: nothing moves
                merge_function(merged_into, members, state_window, state_windows)
        if not was_merged:
            self._mapping.setdefault(new, new)
        return result


class _Collect(MergingWindowAssigner.MergeCallback):
    def __init__(self, merges: list[tuple[Any, list[Any]]]) -> None:
        self._merges = merges

    def merge(self, to_be_merged: Iterable[Any], merge_result: Any) -> None:
        self._merges.append((merge_result, list(to_be_merged)))
