"""Settings of one job as PyFlink's `ExecutionConfig`: another view of its Configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shmflink.config import options
from shmflink.config.configuration import Configuration
from shmflink.config.option import Option
from shmflink.errors import ConfigurationError

__all__ = ["ExecutionConfig"]


class ExecutionConfig:
    """Reads and writes the options that PyFlink has setters for; every change is one of the configuration."""

    def __init__(self, configuration: Configuration) -> None:
        """Made by an environment, not by users."""
        self._configuration = configuration

    def get_parallelism(self) -> int:
        """The default parallelism; -1 = as many as there are slots."""
        parallelism: int | None = self._get(options.DEFAULT_PARALLELISM)
        return -1 if parallelism is None else parallelism

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        return self._set(options.DEFAULT_PARALLELISM, parallelism)

    def get_max_parallelism(self) -> int:
        """-1 = derived from each operator's parallelism."""
        max_parallelism: int = self._get(options.MAX_PARALLELISM)
        return max_parallelism

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        return self._set(options.MAX_PARALLELISM, max_parallelism)

    def get_auto_watermark_interval(self) -> int:
        """Milliseconds."""
        interval_ms: int = self._get(options.AUTO_WATERMARK_INTERVAL)
        return interval_ms

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        return self._set(options.AUTO_WATERMARK_INTERVAL, interval)

    def enable_object_reuse(self) -> ExecutionConfig:
        """Changes nothing here: rows are never copied inside a chain."""
        return self._set(options.OBJECT_REUSE, True)

    def disable_object_reuse(self) -> ExecutionConfig:
        return self._set(options.OBJECT_REUSE, False)

    def is_object_reuse_enabled(self) -> bool:
        return bool(self._get(options.OBJECT_REUSE))

    def get_global_job_parameters(self) -> dict[str, str]:
        """What every function finds with `RuntimeContext.get_job_parameter`."""
        return dict(self._get(options.GLOBAL_JOB_PARAMETERS) or {})

    def set_global_job_parameters(self, global_job_parameters_dict: Mapping[str, Any]) -> ExecutionConfig:
        """Raises ConfigurationError where a parameter cannot be written as `key:value`."""
        wanted = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        text = options.GLOBAL_JOB_PARAMETERS.write(wanted)
        if wanted and options.GLOBAL_JOB_PARAMETERS.parse(text) != wanted:
            raise ConfigurationError(
                f"{options.GLOBAL_JOB_PARAMETERS.key}: cannot be written as key:value,...: {wanted}. "
                "Leave out commas, colons, quotes and outer spaces, or pass the values in the functions"
            )
        self._configuration.set_string(options.GLOBAL_JOB_PARAMETERS.key, text)
        return self

    def _get(self, option: Option) -> Any:
        return option.read(self._configuration.to_dict())

    def _set(self, option: Option, value: object) -> ExecutionConfig:
        text = option.write(value)
        option.parse(text)  # says what is wrong with the value
        self._configuration.set_string(option.key, text)
        return self
