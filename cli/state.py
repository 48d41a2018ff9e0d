"""`shmflink state`: shows the content of a checkpoint or savepoint. `state_view` does the work."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

_HELP = """Shows what checkpoints and savepoints contain, without running the job and without changing anything.

PATH is the folder of a checkpoint (chk-7) or savepoint, or the _metadata file in it.

  shmflink state list /backups/savepoint-5f0c12-8a61d0      operators and their states
  shmflink state read PATH --operator counts --state total  the entries of one state
  shmflink state verify PATH                                check all files, and those that sinks have staged

The files are plain Arrow: pyarrow, Polars and DuckDB open them, too. To change state or to write a savepoint from a
table, use shmflink.state_processor in Python.
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")


class Format(StrEnum):
    """How entries are written."""

    TABLE = "table"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"


Checkpoint = Annotated[str, typer.Argument(metavar="PATH", help="Folder of a checkpoint or savepoint.")]


@app.command(name="list")
def list_(
    path: Checkpoint,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Lists operators with their parallelism, and their states with kind, type, rows, bytes and files.

    Rows count changes in incremental checkpoints as well as the entries that they change.
    """
    from .state_view import list_states

    raise typer.Exit(list_states(path, as_json=as_json))


@app.command()
def read(
    path: Checkpoint,
    operator: Annotated[
        str,
        typer.Option("--operator", metavar="UID", help="The operator's uid or name, or the beginning of its id."),
    ],
    state: Annotated[
        str | None, typer.Option("--state", metavar="NAME", help="The state's name.  [default: the only one]")
    ] = None,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="[default: by the ending of --output, else table]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Writes to a file.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="The largest number of entries to read.")] = None,
    unpickle: Annotated[
        bool,
        typer.Option("--unpickle", help="Loads pickled values. That runs code: only for checkpoints that you trust."),
    ] = False,
) -> None:
    """Reads the entries of one keyed state; applies the changes of incremental checkpoints.

    Examples:

      shmflink state read chk-7 --operator counts --limit 20

      shmflink state read chk-7 --operator counts --state total --output totals.parquet

      shmflink state read chk-7 --operator counts --format json | jq .value
    """
    from .state_view import read_state

    raise typer.Exit(read_state(path, operator, state, file_format, output, limit, unpickle=unpickle))


@app.command()
def verify(path: Checkpoint) -> None:
    """Reads all files and checks lengths and checksums; looks for the files that sinks have staged and not committed.

    Lists what is damaged or missing; exit code 1 if anything is.
    """
    from .state_view import verify_files

    raise typer.Exit(verify_files(path))
