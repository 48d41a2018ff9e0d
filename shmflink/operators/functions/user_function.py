"""A user's function inside an operator: the only place that adapts it and that reports where it failed."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Final, NoReturn

import shmflink
from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.elements import Barrier
from shmflink.core.keys.objects import know_classes_of
from shmflink.errors import ShmflinkError, UserFunctionError
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.runtime_context import (
    FunctionInitializationContext,
    FunctionSnapshotContext,
    OperatorRuntimeContext,
    StateProvider,
)
from shmflink.state.operator_state import OperatorStatePart

__all__ = ["RECORD_TEXT_MAX", "UserFunction", "describe_function", "has_user_frame", "row_index", "shorten_record"]

RECORD_TEXT_MAX: Final = 500  # characters of an offending record that a message shows

_PACKAGE_FOLDER: Final = os.path.dirname(os.path.abspath(shmflink.__file__)) + os.sep


class UserFunction:
    """A callable, or an object with `method` and optionally `open(runtime_context)` and `close()`, as in
    PyFlink.

    Pickled with its operator. `call` is set by `open`.
    """

    coroutines: ClassVar[frozenset[str]] = frozenset()
    """Methods that may be coroutines."""

    __slots__ = ("_context", "_is_open", "call", "function", "method")

    def __init__(self, function: Any, method: str) -> None:
        """Raises TypeError if `function` is neither callable nor has `method`, UsageError if it is a coroutine
        function.
        """
        if not callable(getattr(function, method, None)) and not callable(function):
            raise TypeError(f"expected a callable or an object with a method {method}(), got {function!r}")
        refuse_coroutines(function, method, "open", "close", accepted=self.coroutines)
        self.function = function
        self.method = method
        self.call: Callable[..., Any] = _not_open
        self._context: OperatorContext | None = None
        self._is_open = False

    def __getstate__(self) -> tuple[Any, str]:
        return self.function, self.method

    def __setstate__(self, state: tuple[Any, str]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def open(self, context: OperatorContext, keyed_state: StateProvider | None = None) -> None:
        """Calls the function's own `initialize_state`, with its restored state, then `open`.

        `keyed_state` is what its runtime context provides, None = refused.
        """
        self._context = context
        self._is_open = True
        if context.restored.is_restored and not context.operator_state.is_restored:
            context.operator_state.restore(context.restored.operator_state)
        method = getattr(self.function, self.method, None)
        self.call = method if callable(method) else self.function
        know_classes_of(self.function)
        initialize = getattr(self.function, "initialize_state", None) if callable(method) else None
        if initialize is not None:
            try:
                initialize(FunctionInitializationContext(context, keyed_state))
            except Exception as error:
                self.fail(error, in_method="initialize_state()")
        open_function = getattr(self.function, "open", None) if callable(method) else None
        if open_function is not None:
            try:
                open_function(OperatorRuntimeContext(context, keyed_state))
            except Exception as error:
                self.fail(error, in_method="open()")

    def snapshot(self, barrier: Barrier) -> Mapping[str, OperatorStatePart]:
        """Calls the function's own `snapshot_state`; returns its operator state."""
        context = self._context
        assert context is not None, "a snapshot before open()"
        self.notify("snapshot_state", FunctionSnapshotContext(barrier))
        return context.operator_state.snapshot()

    def notify(self, name: str, argument: Any) -> None:
        """Calls an optional method of the function."""
        method = getattr(self.function, name, None)
        if not callable(method) or not callable(getattr(self.function, self.method, None)):
            return
        try:
            method(argument)
        except Exception as error:
            self.fail(error, in_method=f"{name}()")

    def close(self) -> None:
        """Calls the function's own `close`, even if its `open` failed, but not if `open` was never reached."""
        if not self._is_open:
            return
        self._is_open = False
        close_function = getattr(self.function, "close", None)
        if close_function is not None and callable(getattr(self.function, self.method, None)):
            try:
                close_function()
            except Exception as error:
                self.fail(error, in_method="close()")

    def fail(self, error: BaseException, *records: Any, in_method: str = "") -> NoReturn:
        """Raises the UserFunctionError for `error`, caused by `records` (none, one, or the two of a reduce)."""
        if isinstance(error, UserFunctionError):
            raise error
        context = self._context
        assert context is not None, "a user's function ran before open()"
        record = ", ".join(map(shorten_record, records)) if records else None
        text = user_traceback(error)
        where = f"'{context.operator_name}' ({context.subtask_index + 1}/{context.parallelism})"
        calling = f" in {in_method}" if in_method else ""
        of_record = f"\nrecord: {record}" if record is not None else ""
        raise UserFunctionError(
            f"operator {where}: {describe_function(self.function)} failed{calling} with "
            f"{type(error).__name__}: {error}{of_record}\n{text}",
            operator=context.operator_name,
            subtask=context.subtask_index,
            record=record,
            traceback_text=text,
        ) from error

    def fail_at(self, error: BaseException, rows: list[Any], iterator: Iterator[Any]) -> NoReturn:
        """Like `fail`, for the last row that `iterator` over `rows` returned."""
        self.fail(error, rows[row_index(rows, iterator)])


def row_index(rows: list[Any], iterator: Iterator[Any]) -> int:
    """Index of the last row that a list iterator returned: it knows how many are left."""
    remaining: int = iterator.__length_hint__()  # type: ignore[attr-defined]
    return len(rows) - remaining - 1


def shorten_record(record: Any) -> str:
    """`repr` of a record, truncated to RECORD_TEXT_MAX; a record whose repr fails is described by its type."""
    try:
        text = repr(record)
    except Exception as error:
        return f"<{type(record).__name__}, whose repr() raised {type(error).__name__}>"
    return text if len(text) <= RECORD_TEXT_MAX else f"{text[:RECORD_TEXT_MAX]}... ({len(text)} characters)"


def user_traceback(error: BaseException) -> str:
    """Python's text for `error`, from the first frame outside shmflink on."""
    start = _first_user_frame(error)
    if isinstance(error, ShmflinkError) and start is None:
        return f"{type(error).__name__}: {error}\n"
    return "".join(traceback.format_exception(type(error), error, start))


def has_user_frame(error: BaseException) -> bool:
    """False if `error` was raised by our own code or by a builtin that it called."""
    return _first_user_frame(error) is not None


def describe_function(function: Any) -> str:
    """`module.name (file:line)`, where the user finds it."""
    target = function if hasattr(function, "__code__") else type(function)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(target, "__module__", None)
    code = getattr(function, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{module}.{name}{place}" if module else f"{name}{place}"


def _first_user_frame(error: BaseException) -> TracebackType | None:
    frame = error.__traceback__
    while frame is not None and _is_ours(frame):
        frame = frame.tb_next
    return frame


def _is_ours(frame: TracebackType) -> bool:
    return os.path.abspath(frame.tb_frame.f_code.co_filename).startswith(_PACKAGE_FOLDER)


def _not_open(*_: Any) -> NoReturn:
    raise AssertionError("a user's function was called before open()")
