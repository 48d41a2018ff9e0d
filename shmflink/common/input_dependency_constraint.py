"""When a task is scheduled (`pyflink.common.input_dependency_constraint`)."""

from __future__ import annotations

from enum import Enum

__all__ = ["InputDependencyConstraint"]


class InputDependencyConstraint(Enum):
    """A leftover of the DataSet API: nothing accepts it, neither in PyFlink nor here."""

    ANY = 0
    ALL = 1
