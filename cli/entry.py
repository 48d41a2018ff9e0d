"""The `shmflink` script: what a job needs is starting before this process has imported the command line."""

from __future__ import annotations

import sys

from shmflink.client.jobmanager_launch import abandon_jobmanager, begin_jobmanager

__all__ = ["main"]


def main() -> None:
    """Entry point of the `shmflink` script."""
    if sys.argv[1:2] == ["run"] and "--help" not in sys.argv:
        begin_jobmanager()
    try:
        from .main import main as command_line

        command_line()
    finally:
        abandon_jobmanager()
