"""The commands that explain: options, configuration, this machine, examples. Each command's work is in its own file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .parameters import ConfigFile, Settings

__all__ = ["app"]

app = typer.Typer()


@app.command(name="config")
def show_config(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Prints only options whose key contains all of these words."),
    ] = None,
    settings: Settings = None,
    config: ConfigFile = None,
    only_set: Annotated[bool, typer.Option("--set", help="Prints only options that are set.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Prints every option with its type, default and value, and where the value comes from.

    Example: shmflink config --set
    """
    from .config import show_config as show
    from .invocation import configured

    raise typer.Exit(show(configured(config, settings or ()), words or (), only_set=only_set, as_json=as_json))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Prints what this machine gives a cluster, and what would go wrong. Exit code: 1 if a cluster cannot run."""
    from .doctor import run_doctor

    raise typer.Exit(run_doctor(as_json=as_json))


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Prints the shell's completion script.

    Example: shmflink completion bash > ~/.local/share/bash-completion/completions/shmflink
    """
    from .completion import show_completion

    raise typer.Exit(show_completion(shell))


@app.command()
def options(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD]...", help="Prints only options whose key or description contains all of these words."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Prints every option with its type, default and description.

    Example: shmflink options checkpoint interval
    """
    from .options import show_options

    raise typer.Exit(show_options(words or (), as_json=as_json))


@app.command()
def examples(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the copies; created if it is missing.")],
) -> None:
    """Copies the example programs and configs/: a sample of all options and a systemd unit.

    Example: shmflink examples shmflink-examples
    """
    from .shipped import copy_examples

    raise typer.Exit(copy_examples(directory))
