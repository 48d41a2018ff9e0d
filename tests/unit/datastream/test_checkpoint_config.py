"""PyFlink's objects for checkpoints are views of the configuration."""

from __future__ import annotations

import pytest

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.common import Duration
from shmflink.config.configuration import Configuration
from shmflink.datastream import (
    CheckpointConfig,
    CheckpointingMode,
    EmbeddedRocksDBStateBackend,
    ExternalizedCheckpointRetention,
    FileSystemCheckpointStorage,
    HashMapStateBackend,
    JobManagerCheckpointStorage,
    StreamExecutionEnvironment,
)
from shmflink.errors import ConfigurationError


@pytest.fixture
def configuration():
    return Configuration()


@pytest.fixture
def config(configuration):
    return CheckpointConfig(configuration)


def test_defaults_are_flinks(config):
    assert not config.is_checkpointing_enabled()
    assert config.get_checkpoint_interval() == -1
    assert config.get_checkpointing_mode() is CheckpointingMode.EXACTLY_ONCE
    assert config.get_checkpoint_timeout() == 600_000
    assert config.get_min_pause_between_checkpoints() == 0
    assert config.get_max_concurrent_checkpoints() == 1
    assert config.is_fail_on_checkpointing_errors()
    assert not config.is_externalized_checkpoints_enabled()
    assert not config.is_unaligned_checkpoints_enabled()
    assert config.get_aligned_checkpoint_timeout() == Duration.of_millis(0)
    assert not config.is_force_unaligned_checkpoints()


def test_what_is_set_is_read_and_reaches_the_settings_of_the_job(config, configuration):
    config.set_checkpoint_interval(1500).set_checkpoint_timeout(7000).set_min_pause_between_checkpoints(20)
    config.set_tolerable_checkpoint_failure_number(3).enable_unaligned_checkpoints()
    config.set_alignment_timeout(Duration.of_seconds(2)).set_force_unaligned_checkpoints()
    config.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION)
    assert (config.get_checkpoint_interval(), config.get_checkpoint_timeout()) == (1500, 7000)
    assert config.get_alignment_timeout() == Duration.of_seconds(2)
    assert config.is_externalized_checkpoints_enabled()
    assert config.is_force_unaligned_checkpoints()
    settings = CheckpointSettings.of(configuration.to_dict())
    assert (settings.interval_ms, settings.timeout_ms, settings.min_pause_ms) == (1500, 7000, 20)
    assert (settings.tolerable_failures, settings.aligned_timeout_ms) == (3, 2000)
    assert settings.retain_on_cancellation
    config.disable_unaligned_checkpoints().set_checkpointing_mode(CheckpointingMode.AT_LEAST_ONCE)
    config.set_max_concurrent_checkpoints(2).set_fail_on_checkpointing_errors(False)
    settings = CheckpointSettings.of(configuration.to_dict())
    assert (settings.is_exactly_once, settings.aligned_timeout_ms, settings.max_concurrent) == (False, None, 2)
    assert settings.tolerable_failures == 2**31 - 1


def test_wrong_values_say_what_is_right(config):
    with pytest.raises(ConfigurationError, match=r"interval: 9 ms is below the minimum 10 ms"):
        config.set_checkpoint_interval(9)
    with pytest.raises(TypeError, match="takes a CheckpointingMode, got 'EXACTLY_ONCE'"):
        config.set_checkpointing_mode("EXACTLY_ONCE")
    with pytest.raises(TypeError, match="takes a Duration, got 5"):
        config.set_aligned_checkpoint_timeout(5)
    assert config.get_checkpoint_interval() == -1


def test_the_environments_short_ways():
    env = StreamExecutionEnvironment(Configuration())
    assert (env.get_checkpoint_interval(), env.get_default_savepoint_directory()) == (-1, None)
    assert env.enable_checkpointing(500, CheckpointingMode.AT_LEAST_ONCE) is env
    assert env.get_checkpoint_interval() == env.get_checkpoint_config().get_checkpoint_interval() == 500
    assert env.get_checkpointing_mode() is env.get_checkpointing_consistency_mode() is CheckpointingMode.AT_LEAST_ONCE
    assert not env.is_unaligned_checkpoints_enabled()
    assert not env.is_force_unaligned_checkpoints()
    assert env.set_default_savepoint_directory("/s").get_default_savepoint_directory() == "/s"
    assert env.is_changelog_state_backend_enabled() is None
    assert env.enable_changelog_state_backend(False).is_changelog_state_backend_enabled() is False
    assert env.enable_changelog_state_backend(True).is_changelog_state_backend_enabled() is True


def test_storages_and_backends():
    storage = FileSystemCheckpointStorage("file:///c")
    assert (storage.get_checkpoint_path(), storage.get_savepoint_path()) == ("file:///c", None)
    assert (storage.get_min_file_size_threshold(), storage.get_write_buffer_size()) == (20_480, 4096)
    assert "file:///c" in str(storage)
    assert FileSystemCheckpointStorage("file://var/c/").get_checkpoint_path() == "file://var/c"
    with pytest.raises(ValueError, match="must not be None"):
        FileSystemCheckpointStorage()
    with pytest.raises(ValueError, match="-1 to 1048576, got 9999999"):
        FileSystemCheckpointStorage("/c", 9_999_999)
    storage = JobManagerCheckpointStorage(max_state_size=5)
    assert (storage.get_checkpoint_path(), storage.get_max_state_size(), storage.get_savepoint_path()) == (
        None,
        5,
        None,
    )
    assert "max state size: 5" in str(storage)
    assert str(HashMapStateBackend()) == "HashMapStateBackend"
    with pytest.raises(ConfigurationError, match="state is kept in memory here"):
        EmbeddedRocksDBStateBackend()
