"""The view of a configuration that PyFlink calls ExecutionConfig."""

from __future__ import annotations

import pytest

from shmflink.config.configuration import Configuration
from shmflink.config.execution_config import ExecutionConfig
from shmflink.errors import ConfigurationError


def test_it_reads_and_writes_the_configuration() -> None:
    configuration = Configuration()
    config = ExecutionConfig(configuration)
    assert (config.get_parallelism(), config.get_max_parallelism()) == (-1, -1)
    assert (config.get_auto_watermark_interval(), config.is_object_reuse_enabled()) == (200, False)
    config.set_parallelism(3).set_max_parallelism(64).set_auto_watermark_interval(50).enable_object_reuse()
    assert (config.get_parallelism(), config.get_max_parallelism()) == (3, 64)
    assert (config.get_auto_watermark_interval(), config.is_object_reuse_enabled()) == (50, True)
    assert configuration.get_integer("parallelism.default", 0) == 3
    assert not config.disable_object_reuse().is_object_reuse_enabled()


def test_values_are_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"parallelism\.default"):
        ExecutionConfig(Configuration()).set_parallelism(0)


def test_global_job_parameters_come_back() -> None:
    config = ExecutionConfig(Configuration())
    assert config.get_global_job_parameters() == {}
    config.set_global_job_parameters({"environment": "test", "tries": 3})
    assert config.get_global_job_parameters() == {"environment": "test", "tries": "3"}
    assert config.set_global_job_parameters({}).get_global_job_parameters() == {}


def test_global_job_parameters_that_cannot_be_written_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be written as key:value"):
        ExecutionConfig(Configuration()).set_global_job_parameters({"a": "1,b:2"})
