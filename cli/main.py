"""`shmflink`: the commands and their options. Each command's work is in its own file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shmflink import __version__

from .arguments import arranged
from .cluster_commands import app as cluster_app
from .flink import app as flink_app
from .parameters import ConfigFile, Settings, Slots
from .reference_commands import app as reference_app
from .state import app as state_app

if TYPE_CHECKING:
    from .invocation import Invocation

__all__ = ["app", "main"]

COMPLETE_VARIABLE = "_SHMFLINK_COMPLETE"
_HELP = """Flink's model for one large Linux host: run stream and batch jobs written in Python on Arrow memory.

[bold]Start here[/bold]

  shmflink run job.py                  run a job on all usable CPUs
  shmflink run job.py --slots 32       on 32 slots: 32 pinned processes
  shmflink run job.py --input data/    options that shmflink does not know go to the job's sys.argv
  shmflink run -s PATH job.py          start from a savepoint or a checkpoint
  shmflink info job.py                 draw the job's tasks without running it

[bold]Running jobs[/bold] (JOB is an id, the first 4 or more digits of one, or the job's name)

  shmflink list                        list running jobs and their last checkpoints
  shmflink savepoint JOB DIR           write a savepoint; the job continues
  shmflink stop JOB --savepoint DIR    write a savepoint and stop the job
  shmflink cancel JOB                  cancel the job
  shmflink state list PATH             show the content of a checkpoint or savepoint

[bold]Session cluster[/bold] (runs the jobs of many programs and outlives them)

  shmflink start-cluster --slots 8     start one in the background
  shmflink run -t remote -d job.py     submit a job to it and return
  shmflink taskmanager --slots 4       add slots to it
  shmflink stop-cluster                cancel its jobs and end it

[bold]On Apache Flink[/bold]

  shmflink info --portable job.py      each call, and what Flink has for it
  shmflink flink setup                 install Flink 2.3 in an environment of its own (needs Java 17)
  shmflink run --target flink job.py   run the job there; -m HOST:PORT names a cluster

[bold]Reference[/bold]

  shmflink examples DIR                copy the example programs, a sample of all options and a systemd unit
  shmflink options [WORD]              every option with its type, default and description
  shmflink config [WORD]               every option with its value, and where that comes from
  shmflink doctor                      what this machine gives a cluster, and what would go wrong

A job is a plain Python file that builds a program with shmflink.datastream (PyFlink's names) and calls
env.execute(); [bold]python job.py[/bold] runs it as well.
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich", add_completion=False)
app.add_typer(state_app, name="state")
app.add_typer(cluster_app)
app.add_typer(reference_app)
app.add_typer(flink_app, name="flink")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"shmflink {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Prints the version.")
    ] = False,
) -> None:
    """Options of `shmflink` itself; the app provides the help text."""


_JOB_COMMAND = {"allow_extra_args": True, "ignore_unknown_options": True}

File = Annotated[str | None, typer.Argument(metavar="JOB.PY", help="The job: a Python file.", show_default=False)]
PythonFile = Annotated[
    str | None, typer.Option("-py", "--python", metavar="JOB.PY", help="The same as JOB.PY, in Flink's spelling.")
]
PythonModule = Annotated[
    str | None, typer.Option("-pym", "--pyModule", metavar="MODULE", help="The job as a module, found with -pyfs.")
]
PythonFiles = Annotated[
    str | None, typer.Option("-pyfs", "--pyFiles", metavar="PATHS", help="Modules, folders and zip archives to import.")
]
PythonRequirements = Annotated[
    str | None,
    typer.Option(
        "-pyreq", "--pyRequirements", metavar="FILE[#DIR]", help="Requirements that functions need; pip installs them."
    ),
]
PythonArchives = Annotated[
    str | None,
    typer.Option("-pyarch", "--pyArchives", metavar="FILE[#NAME],...", help="Archives that functions find unpacked."),
]
PythonExecutable = Annotated[
    str | None,
    typer.Option(
        "-pyexec",
        "--pyExecutable",
        metavar="PATH",
        help="Accepted for compatibility with Flink: must be the Python that runs shmflink.",
    ),
]
PythonClientExecutable = Annotated[
    str | None, typer.Option("-pyclientexec", "--pyClientExecutable", metavar="PATH", help="The same.")
]
PyFlinkProgram = Annotated[
    bool, typer.Option("--pyflink", help="In the program and its modules, `pyflink` means shmflink.")
]
Parallelism = Annotated[
    int | None,
    typer.Option("-p", "--parallelism", min=1, help="Default parallelism of the job.  [default: all slots]"),
]

Summary = Annotated[
    str | None,
    typer.Option("--json", metavar="[FILE.json]", help="Writes a JSON summary to the file, or to standard error."),
]
FromSavepoint = Annotated[
    str | None,
    typer.Option(
        "-s",
        "--fromSavepoint",
        "--from-savepoint",
        metavar="PATH",
        help="Savepoint or checkpoint from which the job starts.",
    ),
]
AllowNonRestoredState = Annotated[
    bool,
    typer.Option(
        "-n",
        "--allowNonRestoredState",
        "--allow-non-restored-state",
        help="Drops state of operators that the job no longer has.",
    ),
]
TrustPickledState = Annotated[
    bool,
    typer.Option(
        "--trust-pickled-state",
        help="Loads pickled state from another user's savepoint, which runs that user's code.",
    ),
]
ClaimMode = Annotated[
    str | None,
    typer.Option(
        "-cm",
        "--claimMode",
        "--claim-mode",
        "-rm",
        "--restoreMode",
        metavar="claim|no_claim",
        help="Who owns the restored savepoint; with no_claim the job leaves it untouched.  [default: no_claim]",
    ),
]
JobManagerName = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--jobmanager",
        metavar="NAME",
        help="Session cluster that runs the job; with -t flink: HOST:PORT of Flink.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "-t",
        "--target",
        metavar="local|remote|flink",
        help="local: start a cluster for this command; remote: use the session cluster; flink: run on Apache Flink.  "
        "[default: local]",
    ),
]
Detached = Annotated[
    bool, typer.Option("-d", "--detached", help="Returns as soon as the job is submitted to the session cluster.")
]
FlinkPython = Annotated[
    str | None,
    typer.Option("--flink-python", metavar="PATH", help="Python with PyFlink.  [default: that of flink setup]"),
]
Emit = Annotated[
    str | None, typer.Option("--emit", metavar="FILE", help="Keeps the PyFlink program that runs with -t flink.")
]
ShutdownOnAttachedExit = Annotated[
    bool,
    typer.Option(
        "-sae",
        "--shutdownOnAttachedExit",
        help="If this command is interrupted or dies, the session cluster cancels its jobs.",
    ),
]
Job = Annotated[
    str | None,
    typer.Argument(metavar="JOB", help="Id of the job, its first 4 or more digits, or its name.", show_default=False),
]
SavepointType = Annotated[
    str,
    typer.Option(
        "-type", "--type", metavar="canonical|native", help="Accepted for compatibility with Flink; has no effect."
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
    summary: Summary = None,
    from_savepoint: FromSavepoint = None,
    allow_non_restored_state: AllowNonRestoredState = False,
    claim_mode: ClaimMode = None,
    trust_pickled_state: TrustPickledState = False,
    module: PythonModule = None,
    python_files: PythonFiles = None,
    python_requirements: PythonRequirements = None,
    python_archives: PythonArchives = None,
    python_executable: PythonExecutable = None,
    python_client_executable: PythonClientExecutable = None,
    is_pyflink: PyFlinkProgram = False,
    jobmanager: JobManagerName = None,
    target: Target = None,
    detached: Detached = False,
    flink_python: FlinkPython = None,
    emit: Emit = None,
    shutdown_on_attached_exit: ShutdownOnAttachedExit = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Shows logs on standard error.")] = False,
) -> None:
    """Runs a job and waits for its end.

    Long options are recognized before and after JOB.PY; -s, -n, -cm, -m, -t and -d only before it. Unknown options,
    and everything after --, go to the job's sys.argv.

    Ctrl-C cancels the job cleanly; a second Ctrl-C kills it. Exit code: 0 finished, 1 failed, 130 canceled by Ctrl-C,
    143 by SIGTERM (with an HA directory: suspended), 75 cluster lost (the HA directory keeps the jobs).

    Examples:

      shmflink run examples/word_count.py --slots 4 --output /tmp/counts

      shmflink run job.py -p 8 -D execution.runtime-mode=BATCH --json summary.json

      shmflink run -s /backups/savepoint-1a2b3c-4d5e6f job.py -D execution.checkpointing.interval=10s
    """
    from .invocation import python_settings, recovery_settings, target_settings
    from .run import run_job

    on = target_settings(jobmanager, target, flink_python, shuts_down=shutdown_on_attached_exit)
    given = on | recovery_settings(from_savepoint, allow_non_restored_state, trust_pickled_state, claim_mode)
    given |= python_settings(
        python_files,
        python_requirements,
        python_archives,
        python_executable or python_client_executable,
        is_pyflink=is_pyflink,
    )
    invocation = _invocation(context, file, python, module, slots, parallelism, settings, config, given)
    raise typer.Exit(run_job(invocation, summary, verbose=verbose, detached=detached, emit=emit))


def _invocation(
    context: typer.Context,
    file: str | None,
    python: str | None,
    module: str | None,
    slots: int | None,
    parallelism: int | None,
    settings: list[str] | None,
    config: Path | None,
    given: dict[str, str],
) -> Invocation:
    """`given`: the configuration that options of the command set."""
    from .invocation import Invocation

    if module is not None:
        python, context.args[:0] = Invocation.file_of(module, given), [file] if file is not None else []
        file = None
    return Invocation.of(file, python, context.args, slots, parallelism, settings, config, given, module)


@app.command(context_settings=_JOB_COMMAND)
def info(
    context: typer.Context,
    file: File = None,
    python: PythonFile = None,
    slots: Slots = None,
    parallelism: Parallelism = None,
    settings: Settings = None,
    config: ConfigFile = None,
    module: PythonModule = None,
    python_files: PythonFiles = None,
    python_requirements: PythonRequirements = None,
    python_archives: PythonArchives = None,
    python_executable: PythonExecutable = None,
    python_client_executable: PythonClientExecutable = None,
    is_pyflink: PyFlinkProgram = False,
    as_json: Annotated[bool, typer.Option("--json", help="Flink's execution plan as JSON instead of a tree.")] = False,
    is_logical: Annotated[
        bool,
        typer.Option(
            "--logical", help="Lists each call of the program: its columns, the operators it becomes, and why."
        ),
    ] = False,
    is_portable: Annotated[
        bool,
        typer.Option(
            "--portable",
            help="Lists each call of the program and its counterpart in PyFlink; exit code 1 if a call has none.",
        ),
    ] = False,
    emit: Annotated[
        str | None,
        typer.Option("--emit", metavar="FILE", help="Writes the job as a PyFlink program to this file; - prints it."),
    ] = None,
) -> None:
    """Shows the plan of a job without running it: tasks, chains, partitioning, required slots."""
    from .info import PlanView, emit_program, show_plan
    from .invocation import python_settings

    views = {PlanView.JSON: as_json, PlanView.LOGICAL: is_logical, PlanView.PORTABLE: is_portable}
    wanted = [str(view) for view, is_wanted in views.items() if is_wanted] + ["--emit"] * (emit is not None)
    if len(wanted) > 1:
        raise typer.BadParameter(f"{' and '.join(wanted)} are {len(wanted)} plans: give one of them")

    given = python_settings(
        python_files,
        python_requirements,
        python_archives,
        python_executable or python_client_executable,
        is_pyflink=is_pyflink,
    )
    invocation = _invocation(context, file, python, module, slots, parallelism, settings, config, given)
    if emit is not None:
        raise typer.Exit(emit_program(invocation, emit))
    raise typer.Exit(show_plan(invocation, PlanView(wanted[0]) if wanted else PlanView.TREE))


@app.command(name="list")
def list_(
    running: Annotated[bool, typer.Option("-r", "--running", help="Only running and restarting jobs.")] = False,
    scheduled: Annotated[bool, typer.Option("-s", "--scheduled", help="Only jobs that wait for slots.")] = False,
    everything: Annotated[bool, typer.Option("-a", "--all", help="Also jobs that have ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with times in milliseconds.")] = False,
) -> None:
    """Lists the jobs of this user on this host, whoever started them.

    Prints a table on a terminal, otherwise Flink's lines. Exit code 1 if a JobManager does not answer.
    """
    from .listing import list_jobs

    raise typer.Exit(list_jobs(running=running, scheduled=scheduled, everything=everything, as_json=as_json))


@app.command()
def savepoint(
    job: Job = None,
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIR]",
            help="Parent folder of the savepoint's folder.  [default: execution.checkpointing.savepoint-dir]",
            show_default=False,
        ),
    ] = None,
    _type: SavepointType = "canonical",
) -> None:
    """Writes a savepoint of a running job, which continues.

    Examples:

      shmflink savepoint 5f0c /backups

      shmflink run -s /backups/savepoint-5f0c12-8a61d0 job.py
    """
    from .verbs import take_savepoint

    raise typer.Exit(take_savepoint(job, directory))


@app.command()
def stop(
    job: Job = None,
    directory: Annotated[
        str | None,
        typer.Option(
            "-p",
            "--savepointPath",
            "--savepoint",
            metavar="[DIR]",
            help="Parent folder of the savepoint's folder.  [default: execution.checkpointing.savepoint-dir]",
        ),
    ] = None,
    drain: Annotated[
        bool,
        typer.Option("-d", "--drain", help="Ends the input before the savepoint, so that all timers and windows fire."),
    ] = False,
    _type: SavepointType = "canonical",
) -> None:
    """Stops a running job with a savepoint.

    Without --drain, a job that starts from the savepoint resumes as if it had never stopped. With --drain, open
    windows close early: use it for a job that will not resume.

    Examples:

      shmflink stop "word count" --savepoint /backups

      shmflink stop 5f0c --drain
    """
    from .verbs import stop_job

    raise typer.Exit(stop_job(job, directory, drains=drain))


@app.command()
def cancel(
    job: Job = None,
    savepoint_directory: Annotated[
        str | None,
        typer.Option("-s", "--withSavepoint", metavar="[DIR]", help="Deprecated: use `shmflink stop`."),
    ] = None,
) -> None:
    """Cancels a running job without a savepoint. Its sinks commit nothing further; execution.checkpointing.
    externalized-checkpoint-retention decides whether its checkpoints are kept.

    Example: shmflink cancel 5f0c
    """
    from .verbs import cancel_job

    raise typer.Exit(cancel_job(job, savepoint_directory, with_savepoint=savepoint_directory is not None))


@app.command()
def checkpoint(
    job: Job = None,
    _full: Annotated[
        bool, typer.Option("-full", "--full", help="Accepted for compatibility with Flink; has no effect.")
    ] = False,
) -> None:
    """Takes a checkpoint of a running job now.

    Example: shmflink checkpoint 5f0c
    """
    from .verbs import take_checkpoint

    raise typer.Exit(take_checkpoint(job))


@app.command()
def version() -> None:
    """Prints the version."""
    _show_version(True)


def main() -> None:
    """Runs the command that `sys.argv` says."""
    if COMPLETE_VARIABLE in os.environ:  # a shell asks how a word may end
        from .completion import prepare_completion

        prepare_completion()
    app(args=arranged(sys.argv[1:]), prog_name="shmflink")
