"""What a program needs that imports `pyflink`: a folder for its path, in which that name means shmflink."""

from __future__ import annotations

import os

__all__ = ["folder"]


def folder() -> str:
    """Goes on `sys.path` in front of where PyFlink may be installed."""
    return os.path.dirname(os.path.abspath(__file__))
