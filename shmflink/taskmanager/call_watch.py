"""Detects calls that do not return, and locates them: operator, file, line, function and stack."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NamedTuple

import shmflink
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.operators.base import OperatorContext
from shmflink.taskmanager.chain import ChainNode
from shmflink.taskmanager.slot import Slot

__all__ = ["CallSite", "CallWatch", "SlowCall", "place_of"]

_EVERY_S: Final = 1.0
_LONG_NS: Final = 3_000_000_000  # a call is reported from this duration on, repeatedly until it returns

_PACKAGE: Final = os.path.dirname(os.path.abspath(shmflink.__file__)) + os.sep
_LIBRARIES: Final = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


class CallSite(NamedTuple):
    """Where a thread is. `is_users`: in code that is not ours; `line`: `job.py:12 in slow`."""

    operator: str
    line: str
    is_users: bool
    stack: str


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A task that has not returned from a call for a long time."""

    subtask: SubtaskId
    seconds: float
    place: CallSite


class CallWatch:
    """Checks the slots of an attempt periodically, in its own thread. Reading a stack costs the slot nothing.

    Time counts from the check that first saw the call, so it is up to a second short; the slots read no clock for it.
    """

    def __init__(self, slots: Sequence[tuple[Slot, threading.Thread]], tell: Callable[[SlowCall], None]) -> None:
        self._slots = slots
        self._tell = tell
        self._seen: dict[int, tuple[int, int]] = {}  # by slot: the turn that was seen, and when it was first seen
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Nothing is reported after this."""
        self._is_over.set()
        self._thread.join()

    def look(self, clock: Clock = SYSTEM_CLOCK) -> list[SlowCall]:
        """The calls that have lasted long."""
        now_ns = clock.monotonic_ns()
        calls = []
        for slot, thread in self._slots:
            turn, task = slot.turn, slot.at_work
            if task is None or thread.ident is None:
                self._seen.pop(slot.index, None)
                continue
            seen = self._seen.get(slot.index)
            if seen is None or seen[0] != turn:
                self._seen[slot.index] = turn, now_ns
            elif now_ns - seen[1] >= _LONG_NS:
                frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - the one way to it
                if frame is not None and slot.turn == turn:
                    place = place_of(frame, task.deployment.vertex_name)
                    calls.append(SlowCall(task.deployment.subtask, (now_ns - seen[1]) / 1e9, place))
        return calls

    def _run(self) -> None:
        while not self._is_over.wait(_EVERY_S):
            for call in self.look():
                self._tell(call)


def place_of(frame: FrameType, task_name: str) -> CallSite:
    """The innermost relevant frame of a slot's thread: in the user's code, otherwise in a library or in ours."""
    frames = [at for at, _ in traceback.walk_stack(frame)][::-1]  # outermost first
    first = next((n for n, at in enumerate(frames) if _is_ours(at)), 0)
    inside = frames[first:]
    own = [n for n, at in enumerate(inside) if not _is_ours(at) and not at.f_code.co_filename.startswith(_LIBRARIES)]
    foreign = own or [n for n, at in enumerate(inside) if not _is_ours(at)]
    start = foreign[0] if foreign else len(inside) - 1
    shown = inside[own[-1] if own else start]
    stack = "".join(traceback.format_list(traceback.StackSummary.extract((at, at.f_lineno) for at in inside[start:])))
    file = os.path.basename(shown.f_code.co_filename)
    line = f"{file}:{shown.f_lineno} in {shown.f_code.co_name}"
    return CallSite(_operator_of(inside[: start + 1]) or task_name, line, bool(foreign), stack)


def _operator_of(frames: Sequence[FrameType]) -> str:
    """The operator whose turn it is; empty if none is working."""
    for frame in reversed(frames):
        if _is_ours(frame):
            for name in ("node", "context"):
                found = frame.f_locals.get(name)
                found = found.context if isinstance(found, ChainNode) else found
                if isinstance(found, OperatorContext):
                    return found.operator_name
    return ""


def _is_ours(frame: FrameType) -> bool:
    return os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE)
