"""Parameters that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigFile", "Settings", "Slots"]

Slots = Annotated[
    int | None,
    typer.Option(
        "--slots",
        min=1,
        help="Slots; each is a process pinned to a CPU.  [default: usable CPUs, more if jobs need more]",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("-D", metavar="KEY=VALUE", help="Sets an option, as in configs/shmflink.yaml; repeatable."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "--configDir",
        metavar="FILE|DIR",
        help="Options from a YAML file, or from shmflink.yaml in a folder; $SHMFLINK_PROPERTIES and -D win. "
        "[default: shmflink.yaml in $SHMFLINK_CONF_DIR]",
    ),
]
