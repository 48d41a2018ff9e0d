"""Requests of clients to a job that have no answer yet."""

from __future__ import annotations

from collections.abc import Callable

from shmflink.rpc.messages import Failure

__all__ = ["JobRequests"]


class JobRequests:
    """The requests to one job. Every request gets exactly one answer."""

    def __init__(self) -> None:
        self._answers: dict[int, Callable[[str | Failure], None]] = {}
        self._count = 0

    def ask(self, answer: Callable[[str | Failure], None]) -> int:
        """The id of a new request."""
        self._count += 1
        self._answers[self._count] = answer
        return self._count

    def answer(self, request_id: int, result: str | Failure) -> None:
        """Answers with the written path, or with the reason why there is none."""
        self._answers.pop(request_id)(result)
