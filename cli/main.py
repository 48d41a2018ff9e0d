"""`shmflink`: the commands and what they take. What they do is in one file each."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from shmflink import __version__

from .arguments import arranged

__all__ = ["app", "main"]

_HELP = """Flink's model for one large Linux host: run stream and batch jobs written in Python on Arrow memory.

[bold]Start here[/bold]

  shmflink run job.py                  run a job on all usable CPUs
  shmflink run job.py --slots 32       on 32 slots: 32 pinned processes
  shmflink run job.py --input data/    what shmflink does not know goes to the job's sys.argv
  shmflink info job.py                 draw the job's tasks without running it

A job is a plain Python file that builds a program with shmflink.datastream (PyFlink's names) and calls
env.execute(); [bold]python job.py[/bold] runs it as well.
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich", add_completion=False)

_JOB_COMMAND = {"allow_extra_args": True, "ignore_unknown_options": True}

File = Annotated[str | None, typer.Argument(metavar="JOB.PY", help="The job: a Python file.", show_default=False)]
PythonFile = Annotated[
    str | None, typer.Option("-py", "--python", metavar="JOB.PY", help="The same, as Flink spells it.")
]
Slots = Annotated[
    int | None,
    typer.Option(
        "--slots",
        min=1,
        help="Slots of the cluster; a slot is a process pinned to a CPU.  [default: usable CPUs]",
    ),
]
Parallelism = Annotated[
    int | None,
    typer.Option("-p", "--parallelism", min=1, help="Default parallelism of the job.  [default: all slots]"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("-D", metavar="KEY=VALUE", help="Sets an option, as in configs/shmflink.yaml; repeatable."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Options from a YAML file; -D wins. [default: shmflink.yaml in $SHMFLINK_CONF_DIR]",
    ),
]


@app.command(context_settings=_JOB_COMMAND)
def run(
    context: typer.Context,
    file: File = None,
    python: PythonFile = None,
    slots: Slots = None,
    parallelism: Parallelism = None,
    settings: Settings = None,
    config: ConfigFile = None,
    summary: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="[FILE.json]", help="Writes a summary as JSON: to the file, or to standard error."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Shows logs on standard error.")] = False,
) -> None:
    """Runs a job and waits for its end.

    Options are recognised before and after JOB.PY. What shmflink does not know, and everything after --, goes to the
    job's sys.argv.

    Ctrl-C cancels cleanly; a second one kills. Exit code: 0 finished, 1 failed, 130 cancelled by Ctrl-C, 143 by
    SIGTERM.

    Examples:

      shmflink run examples/word_count.py --slots 4 --output /tmp/counts

      shmflink run job.py -p 8 -D execution.runtime-mode=BATCH --json summary.json
    """
    from .invocation import Invocation
    from .run import run_job

    invocation = Invocation.of(file, python, context.args, slots, parallelism, settings, config)
    raise typer.Exit(run_job(invocation, summary, verbose=verbose))


@app.command(context_settings=_JOB_COMMAND)
def info(
    context: typer.Context,
    file: File = None,
    python: PythonFile = None,
    slots: Slots = None,
    parallelism: Parallelism = None,
    settings: Settings = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Flink's execution plan as JSON instead of a tree.")] = False,
) -> None:
    """Shows the plan of a job without running it: tasks, chains, how rows travel, slots needed."""
    from .info import show_plan
    from .invocation import Invocation

    invocation = Invocation.of(file, python, context.args, slots, parallelism, settings, config)
    raise typer.Exit(show_plan(invocation, as_json=as_json))


@app.command()
def version() -> None:
    """Prints the version."""
    typer.echo(f"shmflink {__version__}")


def main() -> None:
    """Entry point of the `shmflink` command."""
    gc.disable()  # nothing of what imports make is garbage; `Invocation.execute` enables it again
    app(args=arranged(sys.argv[1:]))
