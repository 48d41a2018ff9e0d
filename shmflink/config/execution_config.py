"""Settings of one job as PyFlink's `ExecutionConfig`: another view of its Configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar

from shmflink.config import options
from shmflink.config.checkpoint_options import SNAPSHOT_COMPRESSION
from shmflink.config.configuration import Configuration
from shmflink.config.option import Option
from shmflink.config.values import parse_duration_ms
from shmflink.errors import ConfigurationError

__all__ = ["ExecutionConfig"]

_CLOSURE_CLEANER: Final = "pipeline.closure-cleaner-level"
_FORCE_AVRO: Final = "pipeline.force-avro"
_FORCE_KRYO: Final = "pipeline.force-kryo"
_GENERIC_TYPES: Final = "pipeline.generic-types"
_LATENCY_INTERVAL: Final = "metrics.latency.interval"

T = TypeVar("T")


class ExecutionConfig:
    """Reads and writes the options for which PyFlink has setters; every change goes to the configuration.

    Two are equal if their configurations are equal.
    """

    PARALLELISM_DEFAULT: ClassVar = -1
    PARALLELISM_UNKNOWN: ClassVar = -2

    def __init__(self, configuration: Configuration) -> None:
        """Created by an environment, not by users."""
        self._configuration = configuration

    def get_parallelism(self) -> int:
        """The default parallelism; -1 = as many as there are slots."""
        parallelism = self._get(options.DEFAULT_PARALLELISM)
        return -1 if parallelism is None else parallelism

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        return self._set(options.DEFAULT_PARALLELISM, parallelism)

    def get_max_parallelism(self) -> int:
        """-1 = derived from each operator's parallelism."""
        return self._get(options.MAX_PARALLELISM)

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        return self._set(options.MAX_PARALLELISM, max_parallelism)

    def get_auto_watermark_interval(self) -> int:
        """Milliseconds."""
        return self._get(options.AUTO_WATERMARK_INTERVAL)

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        return self._set(options.AUTO_WATERMARK_INTERVAL, interval)

    def enable_object_reuse(self) -> ExecutionConfig:
        """Operators pass the objects that functions return on without copying them: see `pipeline.object-reuse`."""
        return self._set(options.OBJECT_REUSE, True)

    def disable_object_reuse(self) -> ExecutionConfig:
        return self._set(options.OBJECT_REUSE, False)

    def is_object_reuse_enabled(self) -> bool:
        return self._get(options.OBJECT_REUSE)

    def get_task_cancellation_interval(self) -> int:
        """Milliseconds."""
        return self._get(options.CANCELLATION_INTERVAL)

    def set_task_cancellation_interval(self, interval: int) -> ExecutionConfig:
        return self._set(options.CANCELLATION_INTERVAL, interval)

    def get_task_cancellation_timeout(self) -> int:
        """Milliseconds."""
        return self._get(options.CANCELLATION_TIMEOUT)

    def set_task_cancellation_timeout(self, timeout: int) -> ExecutionConfig:
        return self._set(options.CANCELLATION_TIMEOUT, timeout)

    def enable_auto_generated_uids(self) -> ExecutionConfig:
        """The default: an operator without a uid gets an id derived from its place in the program."""
        return self._set(options.AUTO_GENERATE_UIDS, True)

    def disable_auto_generated_uids(self) -> ExecutionConfig:
        """Every operator must have a uid; a program with an operator without one is refused."""
        return self._set(options.AUTO_GENERATE_UIDS, False)

    def has_auto_generated_uids_enabled(self) -> bool:
        return self._get(options.AUTO_GENERATE_UIDS)

    def set_use_snapshot_compression(self, use_snapshot_compression: bool) -> ExecutionConfig:
        return self._set(SNAPSHOT_COMPRESSION, use_snapshot_compression)

    def is_use_snapshot_compression(self) -> bool:
        return self._get(SNAPSHOT_COMPRESSION)

    def get_global_job_parameters(self) -> dict[str, str]:
        """The parameters that every function can read with `RuntimeContext.get_job_parameter`."""
        parameters = self._get(options.GLOBAL_JOB_PARAMETERS)
        return parameters or {}

    def set_global_job_parameters(self, global_job_parameters_dict: Mapping[str, Any]) -> ExecutionConfig:
        """Raises ConfigurationError if a parameter cannot be written as `key:value`."""
        wanted = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        text = options.GLOBAL_JOB_PARAMETERS.write(wanted)
        if wanted and options.GLOBAL_JOB_PARAMETERS.parse(text) != wanted:
            raise ConfigurationError(
                f"{options.GLOBAL_JOB_PARAMETERS.key}: cannot be written as key:value,...: {wanted}. "
                "Leave out commas, colons, quotes and outer spaces, or pass the values in the functions"
            )
        self._configuration.set_string(options.GLOBAL_JOB_PARAMETERS.key, text)
        return self

    # --- options of the JVM: stored and returned, without effect ---

    def enable_closure_cleaner(self) -> ExecutionConfig:
        """Accepted for compatibility with Flink; has no effect."""
        return self._keep(_CLOSURE_CLEANER, "RECURSIVE")

    def disable_closure_cleaner(self) -> ExecutionConfig:
        """Accepted for compatibility with Flink; has no effect."""
        return self._keep(_CLOSURE_CLEANER, "NONE")

    def is_closure_cleaner_enabled(self) -> bool:
        return self._kept(_CLOSURE_CLEANER, "RECURSIVE") != "NONE"

    def set_latency_tracking_interval(self, interval: int) -> ExecutionConfig:
        """Accepted for compatibility with Flink; has no effect. Milliseconds."""
        return self._keep(_LATENCY_INTERVAL, f"{int(interval)} ms")

    def get_latency_tracking_interval(self) -> int:
        """Milliseconds; 0 = latency is not tracked."""
        return parse_duration_ms(self._kept(_LATENCY_INTERVAL, "0"))

    def enable_force_kryo(self) -> ExecutionConfig:
        """Accepted for compatibility with Flink; has no effect."""
        return self._keep(_FORCE_KRYO, "true")

    def disable_force_kryo(self) -> ExecutionConfig:
        return self._keep(_FORCE_KRYO, "false")

    def is_force_kryo_enabled(self) -> bool:
        return self._kept(_FORCE_KRYO, "false") == "true"

    def enable_force_avro(self) -> ExecutionConfig:
        """Accepted for compatibility with Flink; has no effect."""
        return self._keep(_FORCE_AVRO, "true")

    def disable_force_avro(self) -> ExecutionConfig:
        return self._keep(_FORCE_AVRO, "false")

    def is_force_avro_enabled(self) -> bool:
        return self._kept(_FORCE_AVRO, "false") == "true"

    def enable_generic_types(self) -> ExecutionConfig:
        return self._keep(_GENERIC_TYPES, "true")

    def disable_generic_types(self) -> ExecutionConfig:
        """Accepted for compatibility with Flink; has no effect."""
        return self._keep(_GENERIC_TYPES, "false")

    def has_generic_types_disabled(self) -> bool:
        return self._kept(_GENERIC_TYPES, "true") == "false"

    def get_default_kryo_serializer_classes(self) -> dict[str, str]:
        """Always empty: Java classes cannot be registered."""
        return {}

    def get_registered_kryo_types(self) -> list[str]:
        """Always empty: Java classes cannot be registered."""
        return []

    def get_registered_pojo_types(self) -> list[str]:
        """Always empty: Java classes cannot be registered."""
        return []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionConfig) and self._configuration == other._configuration

    def __hash__(self) -> int:
        return hash(self._configuration)

    def _keep(self, key: str, value: str) -> ExecutionConfig:
        self._configuration.set_string(key, value)
        return self

    def _kept(self, key: str, default: str) -> str:
        return self._configuration.get_string(key, default)

    def _get(self, option: Option[T]) -> T:
        return option.read(self._configuration.to_dict())

    def _set(self, option: Option[object], value: object) -> ExecutionConfig:
        text = option.write(value)
        option.parse(text)  # raises the error that explains the value
        self._configuration.set_string(option.key, text)
        return self
