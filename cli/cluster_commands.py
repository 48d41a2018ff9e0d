"""The commands of session clusters, and their options. Each command's work is in its own file."""

from __future__ import annotations

from typing import Annotated

import typer

from .parameters import ConfigFile, Settings, Slots

__all__ = ["app"]

app = typer.Typer()

Name = Annotated[
    str | None, typer.Option("-m", "--name", metavar="NAME", help="Name of the session cluster.  [default: default]")
]


@app.command(name="start-cluster")
def start_cluster(name: Name = None, slots: Slots = None, settings: Settings = None, config: ConfigFile = None) -> None:
    """Starts a session cluster in the background: a JobManager and TaskManagers, which run the jobs of many programs.

    Examples:

      shmflink start-cluster --slots 8

      shmflink run -t remote job.py
    """
    from .invocation import cluster_configuration
    from .session import start_cluster as start

    raise typer.Exit(start(cluster_configuration(config, settings, name, slots)))


@app.command(name="stop-cluster")
def stop_cluster(name: Name = None, settings: Settings = None, config: ConfigFile = None) -> None:
    """Cancels the jobs of a session cluster and ends it."""
    from .invocation import cluster_configuration
    from .session import stop_cluster as stop

    raise typer.Exit(stop(cluster_configuration(config, settings, name)))


@app.command()
def rest(
    name: Name = None,
    settings: Settings = None,
    config: ConfigFile = None,
    port: Annotated[int | None, typer.Option("--port", "-p", help="Port to listen on (rest.port); 8081.")] = None,
    wait: Annotated[bool, typer.Option("--wait", hidden=True)] = False,
    ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
) -> None:
    """Serves Flink's REST API for a session cluster, until the cluster ends. start-cluster does it where rest.port is
    set.

    Examples:

      shmflink rest --port 8081

      flink list -m localhost:8081
    """
    from .invocation import cluster_configuration
    from .rest import run_rest

    ports = [] if port is None else [f"rest.port={port}"]
    found = cluster_configuration(config, [*(settings or []), *ports], name)
    raise typer.Exit(run_rest(found, waits=wait, ready_fd=ready_fd))


@app.command()
def jobmanager(name: Name = None, slots: Slots = None, settings: Settings = None, config: ConfigFile = None) -> None:
    """Runs the JobManager of a session cluster in the foreground, for a service manager. Ctrl-C or SIGTERM ends it."""
    from .invocation import cluster_configuration
    from .session import run_jobmanager

    raise typer.Exit(run_jobmanager(cluster_configuration(config, settings, name, slots)))


@app.command()
def taskmanager(
    name: Name = None,
    slots: Annotated[int, typer.Option("--slots", min=1, help="Number of slots to add.")] = 1,
    settings: Settings = None,
    config: ConfigFile = None,
) -> None:
    """Adds TaskManagers to a running session cluster. The cluster starts and supervises them, not this command."""
    from .invocation import cluster_configuration
    from .session import add_taskmanagers

    raise typer.Exit(add_taskmanagers(cluster_configuration(config, settings, name), slots))
