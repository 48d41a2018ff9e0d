"""`shmflink info`: the plan of a job, without running it."""

from __future__ import annotations

import enum
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import typer

from shmflink.client.executor import default_slots, use_executor
from shmflink.errors import InternalError, JobGraphError
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.plan import plan_as_tree
from shmflink.graph.stream_graph import StreamGraph
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.planner.explain import explain

from .invocation import Invocation
from .program_errors import FAILED, code_of, say_error

__all__ = ["PlanView", "emit_program", "show_plan"]


class PlanView(enum.StrEnum):
    """What is shown of a job; each view except the first has an option that selects it."""

    TREE = "the tree"
    JSON = "--json"
    LOGICAL = "--logical"
    PORTABLE = "--portable"


class _Planned(BaseException):
    """Ends the job's file at its first execute(), as Flink's `info` does; no `except Exception` there catches it."""

    def __init__(self, plan: LogicalPlan, graph: StreamGraph, job: JobGraph) -> None:
        super().__init__(job.name)
        self.plan = plan
        self.graph = graph
        self.job = job


class _PlanningExecutor:
    """Takes the plan where an executor would run it."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = configuration

    @property
    def default_parallelism(self) -> int:
        return default_slots(self.configuration)

    def submit_plan(self, plan: LogicalPlan, graph: StreamGraph, job: JobGraph) -> NoReturn:
        raise _Planned(plan, graph, job)

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> NoReturn:
        raise InternalError(f"job '{graph.name}' is not run: only its plan was requested")


def show_plan(invocation: Invocation, view: PlanView) -> int:
    """Prints the plan of the first job that the file executes; returns the exit code."""

    def show(planned: _Planned) -> int:
        if view is PlanView.PORTABLE:
            return _show_portability(planned.plan)
        typer.echo(_text_of(planned, view), nl=view is PlanView.JSON)
        return 0

    return _with_plan(invocation, show)


def emit_program(invocation: Invocation, path: str) -> int:
    """Writes the first job that the file executes as a PyFlink program; returns the exit code."""
    from shmflink.flinktarget.emit import program_of  # the views that need no planner skip it

    def emit(planned: _Planned) -> int:
        try:
            text = program_of(planned.plan)
        except JobGraphError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        if path == "-":
            typer.echo(text, nl=False)
        else:
            Path(path).write_text(text)
        return 0

    return _with_plan(invocation, emit)


def _with_plan(invocation: Invocation, action: Callable[[_Planned], int]) -> int:
    try:
        with use_executor(_PlanningExecutor(invocation.configuration)):
            invocation.execute()
    except _Planned as planned:
        return action(planned)
    except SystemExit as leave:
        return code_of(leave)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException as error:
        say_error(error, invocation.file)
        return FAILED
    sys.stderr.write(f"{invocation.file} executes no job: call env.execute() in it\n")
    return 1


def _text_of(planned: _Planned, view: PlanView) -> str:
    match view:
        case PlanView.LOGICAL:
            return explain(planned.plan, planned.graph)
        case PlanView.JSON:
            return planned.job.json_plan
    return plan_as_tree(planned.job)


def _show_portability(plan: LogicalPlan) -> int:
    from shmflink.flinktarget.portable import is_portable, portability  # other views do without it

    typer.echo(portability(plan), nl=False)
    return 0 if is_portable(plan) else 1
