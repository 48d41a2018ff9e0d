"""Windows that merge: the windows of a key, and under which of them its state is stored (Flink: MergingWindowSet)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shmflink.operators.windows.assigners import MergingWindowAssigner
from shmflink.operators.windows.window import Window

__all__ = ["MergeFunction", "MergingWindowSet"]

MergeFunction = Callable[[Window, list[Window], Window, list[Window]], None]
"""(result, merged windows, window that stores the result's state, windows whose state moves there)."""


class MergingWindowSet:
    """The windows of one key. `mapping`, window -> window that stores its state, is itself state.

    The state stays where the first of the merged windows stored it: merging moves as little as possible.
    """

    def __init__(self, assigner: MergingWindowAssigner, mapping: dict[Window, Window]) -> None:
        """Modifies `mapping` in place."""
        self._assigner = assigner
        self._mapping = mapping

    def state_window(self, window: Window) -> Window:
        """The window that stores the state of a window returned by `add`."""
        return self._mapping[window]

    def retire(self, window: Window) -> None:
        """Removes a window that has ended."""
        del self._mapping[window]

    def add(self, new: Window, merge_function: MergeFunction) -> Window:
        """Adds a window, performs the necessary merges, and returns the window that now contains `new`."""
        merges: list[tuple[Window, list[Window]]] = []
        self._assigner.merge_windows([*self._mapping, new], _Collect(merges))
        result, was_merged = new, False
        for merged_into, merged in merges:
            if new in merged:
                result, was_merged = merged_into, True
            # Oldest first, so that elements of merged windows are in the same order everywhere.
            taken = set(merged)
            members = [window for window in self._mapping if window in taken]
            if not members:
                continue
            state_window, *state_windows = [self._mapping.pop(window) for window in members]
            self._mapping[merged_into] = state_window
            if members != [merged_into]:  # otherwise the new window is inside an old one: nothing moves
                merge_function(merged_into, members, state_window, state_windows)
        if not was_merged:
            self._mapping.setdefault(new, new)
        return result


class _Collect(MergingWindowAssigner.MergeCallback):
    def __init__(self, merges: list[tuple[Window, list[Window]]]) -> None:
        self._merges = merges

    def merge(self, to_be_merged: Iterable[Window], merge_result: Window) -> None:
        self._merges.append((merge_result, list(to_be_merged)))
