"""When a task is scheduled (`pyflink.common.input_dependency_constraint`)."""

from __future__ import annotations

from enum import Enum

__all__ = ["InputDependencyConstraint"]


class InputDependencyConstraint(Enum):
    """PyFlink's leftover of the DataSet API: nothing takes it, there or here."""

    ANY = 0
    ALL = 1
