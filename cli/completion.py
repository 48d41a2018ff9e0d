"""`shmflink completion`: the script with which a shell completes our commands and options."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["prepare_completion", "show_completion"]

_SHELLS: Final = ("bash", "zsh", "fish")
_USAGE: Final = 2


def prepare_completion() -> None:
    """The command line answers the shell's script from now on."""
    from typer._completion_classes import completion_init

    completion_init()


def show_completion(shell: str) -> int:
    """Prints it; returns the exit code."""
    if shell not in _SHELLS:
        sys.stderr.write(f"unknown shell '{shell}'; use {', '.join(_SHELLS)}\n")
        return _USAGE
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="shmflink", complete_var="_SHMFLINK_COMPLETE", shell=shell)
    sys.stdout.write(script + "\n")
    return 0
