"""An executor that runs nothing: tests look at the graphs it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shmflink.graph.job_graph import JobGraph


class Finished:
    """A future that is done."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value

    def done(self) -> bool:
        return True


class Client:
    """A job that ends at once."""

    def get_job_execution_result(self) -> Finished:
        return Finished("the result")


class Recorder:
    """An executor that keeps what is submitted."""

    def __init__(self) -> None:
        self.configuration: Mapping[str, str] = {"parallelism.default": "4"}
        self.default_parallelism = 4
        self.submitted: list[tuple[JobGraph, Mapping[str, str]]] = []

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> Client:
        self.submitted.append((graph, configuration))
        return Client()
