"""What clients ask of a job and have no answer to yet."""

from __future__ import annotations

from collections.abc import Callable

from shmflink.rpc.messages import Failure

__all__ = ["JobRequests"]


class JobRequests:
    """Of one job. Every request gets exactly one answer."""

    def __init__(self) -> None:
        self._answers: dict[int, Callable[[str | Failure], None]] = {}
        self._count = 0

    def ask(self, answer: Callable[[str | Failure], None]) -> int:
        """The id of a new request."""
        self._count += 1
        self._answers[self._count] = answer
        return self._count

    def answer(self, request_id: int, result: str | Failure) -> None:
        """The path of what was written, or why there is none."""
        self._answers.pop(request_id)(result)
