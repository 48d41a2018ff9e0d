"""The `shmflink` command (installed as `shmflink.cli`): typer commands and their output."""
