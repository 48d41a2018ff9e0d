"""Calls of user code that do not return: what TaskManagers report, and when people hear of it."""

from __future__ import annotations

from typing import Final

from shmflink.core.ids import SubtaskId
from shmflink.rpc.messages import CallUnderWay

__all__ = ["SlowCalls", "sentence_of"]

_TOLD_FIRST_S: Final = 10.0
_FORGOTTEN_S: Final = 3.0  # a TaskManager tells of a call every second


class SlowCalls:
    """Of one attempt. Pure: time is an argument, in seconds."""

    def __init__(self) -> None:
        self._calls: dict[SubtaskId, tuple[CallUnderWay, float]] = {}
        self._told_s: dict[SubtaskId, float] = {}  # how long the call was when it was told of last

    def heard(self, call: CallUnderWay, now_s: float) -> bool:
        """True if people should hear of it: after ten seconds, then whenever the time has doubled."""
        before = self._calls.get(call.subtask)
        if before is None or before[0].seconds > call.seconds:
            self._told_s.pop(call.subtask, None)
        self._calls[call.subtask] = call, now_s
        last_s = self._told_s.get(call.subtask, _TOLD_FIRST_S / 2)
        if call.seconds < 2 * last_s:
            return False
        self._told_s[call.subtask] = call.seconds
        return True

    def of(self, subtask: SubtaskId, now_s: float) -> str:
        """`in one call of user code for 34 s: job.py:12 in slow`; empty if no call takes long."""
        call, heard_s = self._calls.get(subtask, (None, 0.0))
        if call is None or now_s - heard_s > _FORGOTTEN_S:
            return ""
        return _text(call, now_s - heard_s)

    def sentences(self, parallelism: dict[int, int], now_s: float) -> tuple[str, ...]:
        """One for each task that is in such a call; `parallelism` by vertex."""
        texts = []
        for subtask, (call, _) in sorted(self._calls.items()):
            if self.of(subtask, now_s):
                texts.append(sentence_of(call, parallelism[subtask.vertex]))
        return tuple(texts)


def sentence_of(call: CallUnderWay, parallelism: int) -> str:
    """`subtask 1/2 of 'enrich' has been in one call of user code for 34 s: job.py:12 in slow`."""
    return f"subtask {call.subtask.subtask + 1}/{parallelism} of '{call.operator}' has been {_text(call)}"


def _text(call: CallUnderWay, since_s: float = 0.0) -> str:
    what = "one call of user code" if call.is_users else "one step"
    return f"in {what} for {call.seconds + since_s:.0f} s: {call.line}"
