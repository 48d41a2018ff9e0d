"""`shmflink flink setup`: what `run --target flink` needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shmflink.errors import ResourceError, UsageError

__all__ = ["app"]

app = typer.Typer(help="Apache Flink, which run --target flink needs.", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _root() -> None:
    """Makes the app a group, although it has one command."""


@app.command()
def setup(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to install it.  [default: ~/.cache/shmflink/flink-2.3]")
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", metavar="PATH", help="An interpreter, 3.9 to 3.12.  [default: this one]")
    ] = None,
) -> None:
    """Installs Flink 2.3's Python package in an environment of its own. Needs Java 17; downloads about 500 MB."""
    from shmflink.client import flink_environment

    from .program_errors import FAILED, say

    chosen = folder or flink_environment.default_folder()
    try:
        flink_environment.set_up(chosen, python)
    except (UsageError, ResourceError) as error:
        say(str(error))
        raise typer.Exit(FAILED) from None
    typer.echo(f"{flink_environment.REQUIREMENT} is in {chosen}. Next: shmflink run --target flink job.py")
