"""What a user imports, with PyFlink's module and class names (`pyflink.common`): types, time, configuration.

Imports everything below. Within shmflink, only `testing` and the command line import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.core.lazy_imports import lazy_names

if TYPE_CHECKING:
    from shmflink.common.completable_future import CompletableFuture
    from shmflink.common.config_options import ConfigOption, ConfigOptions
    from shmflink.common.configuration import Configuration
    from shmflink.common.execution_config import ExecutionConfig
    from shmflink.common.input_dependency_constraint import InputDependencyConstraint
    from shmflink.common.job_client import JobClient
    from shmflink.common.job_execution_result import JobExecutionResult
    from shmflink.common.job_id import JobID
    from shmflink.common.job_status import JobStatus
    from shmflink.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
    from shmflink.common.serialization import (
        ByteArraySchema,
        DeserializationSchema,
        Encoder,
        SerializationSchema,
        SimpleStringSchema,
    )
    from shmflink.common.serializer import TypeSerializer
    from shmflink.common.time import Duration, Instant, Time
    from shmflink.common.typeinfo import TypeInformation, Types
    from shmflink.common.types import Row, RowKind
    from shmflink.common.watermark_strategy import WatermarkStrategy

__all__ = [
    "ByteArraySchema",
    "CompletableFuture",
    "ConfigOption",
    "ConfigOptions",
    "Configuration",
    "DeserializationSchema",
    "Duration",
    "Encoder",
    "ExecutionConfig",
    "InputDependencyConstraint",
    "Instant",
    "JobClient",
    "JobExecutionResult",
    "JobID",
    "JobStatus",
    "RestartStrategies",
    "RestartStrategyConfiguration",
    "Row",
    "RowKind",
    "SerializationSchema",
    "SimpleStringSchema",
    "Time",
    "TypeInformation",
    "TypeSerializer",
    "Types",
    "WatermarkStrategy",
]

_MODULES = {
    "completable_future": ("CompletableFuture",),
    "config_options": (
        "ConfigOption",
        "ConfigOptions",
    ),
    "configuration": ("Configuration",),
    "execution_config": ("ExecutionConfig",),
    "input_dependency_constraint": ("InputDependencyConstraint",),
    "job_client": ("JobClient",),
    "job_execution_result": ("JobExecutionResult",),
    "job_id": ("JobID",),
    "job_status": ("JobStatus",),
    "restart_strategy": (
        "RestartStrategies",
        "RestartStrategyConfiguration",
    ),
    "serialization": (
        "ByteArraySchema",
        "DeserializationSchema",
        "Encoder",
        "SerializationSchema",
        "SimpleStringSchema",
    ),
    "serializer": ("TypeSerializer",),
    "time": (
        "Duration",
        "Instant",
        "Time",
    ),
    "typeinfo": (
        "TypeInformation",
        "Types",
    ),
    "types": (
        "Row",
        "RowKind",
    ),
    "watermark_strategy": ("WatermarkStrategy",),
}

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _MODULES, names_absent(__name__))


def __dir__() -> list[str]:
    """The names that completion offers."""
    return __all__
