"""What clients ask for and come back for later: savepoints, stops, checkpoints, disposals (Flink: async operations).

Each has a key and a trigger id. A client that chooses the id may ask again: nothing is started twice. What is over is
remembered for a while (`rest.async.store-duration`), what is under way for as long as it takes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from shmflink.core.clock import Clock
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ShmflinkError
from shmflink.rest.errors import RestError, handler_error
from shmflink.rest.throwable import serialized_throwable

__all__ = ["Operations", "trigger_id"]

_LOG: Final = logging.getLogger(__name__)
_COMPLETION: Final = "java.util.concurrent.CompletionException"
_UNDER_WAY_MAX: Final = 256
_OVER_MAX: Final = 10_000

Json = dict[str, object]
Key = tuple[str, ...]


@dataclass(slots=True)
class _Operation:
    """`result` None: under way."""

    result: Json | None = None
    over_ms: int = 0


class Operations:
    """Used by one event loop. `failure_key`: how the result of a failed operation names its cause."""

    def __init__(self, clock: Clock, store_ms: int, failure_key: str = "failure-cause") -> None:
        self._clock = clock
        self._store_ms = store_ms
        self._failure_key = failure_key
        self._kept: OrderedDict[Key, _Operation] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, key: Key, perform: Callable[[], Awaitable[Json]]) -> None:
        """In the background, unless it was started before. RestError 503 if too many are under way."""
        self._forget()
        if key in self._kept:
            return
        if len(self._tasks) >= _UNDER_WAY_MAX:
            raise RestError(503, f"{_UNDER_WAY_MAX} operations are under way already: ask again later")
        operation = self._kept[key] = _Operation()
        task = asyncio.ensure_future(self._run(operation, perform))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def status(self, key: Key, unknown: str) -> Json:
        """In Flink's form. RestError 404 with this text if there is no such operation."""
        self._forget()
        operation = self._kept.get(key)
        if operation is None:
            raise handler_error(404, unknown)
        if operation.result is None:
            return {"status": {"id": "IN_PROGRESS"}, "operation": None}
        return {"status": {"id": "COMPLETED"}, "operation": operation.result}

    async def _run(self, operation: _Operation, perform: Callable[[], Awaitable[Json]]) -> None:
        try:
            result = await perform()
        except OperationFailed as error:
            result = {self._failure_key: serialized_throwable(error.kind, str(error))}
        except ShmflinkError as error:
            result = {self._failure_key: serialized_throwable(_COMPLETION, str(error))}
        except Exception as error:  # a bug of ours: without a result, its client would ask for ever
            _LOG.exception("an operation")
            result = {self._failure_key: serialized_throwable(_COMPLETION, f"{type(error).__name__}: {error}")}
        operation.result, operation.over_ms = result, self._now_ms()

    def _forget(self) -> None:
        """What was over first is first among those that are over, nearly: a slow one keeps its place."""
        now_ms = self._now_ms()
        old = [
            key for key, one in self._kept.items() if one.result is not None and now_ms - one.over_ms > self._store_ms
        ]
        over = [key for key, one in self._kept.items() if one.result is not None]
        for key in {*old, *over[: max(len(over) - _OVER_MAX, 0)]}:
            del self._kept[key]

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000


class OperationFailed(Exception):  # noqa: N818 - a result that is told, not an error of this program
    """The operation came to nothing; `kind`: the Java class that Flink would name."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def trigger_id() -> str:
    """A new one: 32 hexadecimal digits."""
    return os.urandom(16).hex()
