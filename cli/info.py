"""`shmflink info`: the plan of a job, without running it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from shmflink.client.executor import use_executor
from shmflink.client.job_client import JobClient
from shmflink.errors import ShmflinkError
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.plan import plan_as_tree

from .invocation import Invocation

__all__ = ["show_plan"]


class _Planned(BaseException):
    """Leaves the job's file at its first execute(), as Flink's `info` does; no `except Exception` there stops it."""

    def __init__(self, graph: JobGraph) -> None:
        super().__init__(graph.name)
        self.graph = graph


class _PlanningExecutor:
    """Takes the graph where an executor would run it."""

    only_plans = True  # nothing is looked at that a run would write to

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = configuration

    @property
    def default_parallelism(self) -> int:
        from shmflink.client.executor import default_slots

        return default_slots(self.configuration)

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> JobClient:
        raise _Planned(graph)


def show_plan(invocation: Invocation, *, as_json: bool) -> int:
    """Prints the plan of the first job that the file executes; returns the exit code."""
    try:
        with use_executor(_PlanningExecutor(invocation.configuration)):
            invocation.execute()
    except _Planned as planned:
        typer.echo(planned.graph.json_plan if as_json else plan_as_tree(planned.graph), nl=as_json)
        return 0
    except ShmflinkError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stderr.write(f"{invocation.file} executes no job: call env.execute() in it\n")
    return 1
