"""The checkpoint settings in a configuration."""

from __future__ import annotations

import pytest

from shmflink.checkpoint.settings import CheckpointSettings, default_directory
from shmflink.config.options import validate
from shmflink.errors import ConfigurationError

UNALIGNED = "execution.checkpointing.unaligned.enabled"


def test_nothing_configured():
    assert CheckpointSettings.of({}) == CheckpointSettings()
    assert not CheckpointSettings().has_final_checkpoint


def test_flinks_old_keys():
    settings = CheckpointSettings.of(
        {
            "execution.checkpointing.interval": "2 s",
            "state.checkpoints.dir": "file:///data/c",
            "state.savepoints.dir": "/data/s/../s",
            "state.backend.incremental": "false",
            "state.checkpoints.num-retained": "3",
            "execution.savepoint.path": "/data/s/1",
            "execution.savepoint-restore-mode": "claim",
            "execution.savepoint.ignore-unclaimed-state": "true",
            "execution.checkpointing.snapshot-compression": "true",
        }
    )
    assert (settings.directory, settings.savepoint_directory, settings.num_retained) == ("/data/c", "/data/s", 3)
    assert (settings.recovery_path, settings.claims_recovery_path) == ("/data/s/1", True)
    assert settings.ignores_unclaimed_state
    assert settings.has_final_checkpoint
    assert not settings.is_incremental
    assert settings.compression == "lz4"


@pytest.mark.parametrize(
    ("mode", "on_cancel", "on_failure"),
    [
        ("NO_EXTERNALIZED_CHECKPOINTS", False, False),
        ("DELETE_ON_CANCELLATION", False, True),
        ("RETAIN_ON_CANCELLATION", True, True),
    ],
)
def test_retention(mode, on_cancel, on_failure):
    settings = CheckpointSettings.of({"execution.checkpointing.externalized-checkpoint-retention": mode})
    assert (settings.retain_on_cancellation, settings.retain_on_failure) == (on_cancel, on_failure)


def test_unaligned_needs_exactly_once_and_one_at_a_time():
    assert CheckpointSettings.of({UNALIGNED: "true"}).aligned_timeout_ms == 0
    assert CheckpointSettings.of({"execution.checkpointing.unaligned": "true"}).aligned_timeout_ms == 0
    at_least_once = {UNALIGNED: "true", "execution.checkpointing.mode": "AT_LEAST_ONCE"}
    assert CheckpointSettings.of(at_least_once).aligned_timeout_ms is None
    with pytest.raises(ConfigurationError, match="max-concurrent-checkpoints = 2 cannot be combined with"):
        CheckpointSettings.of({UNALIGNED: "true", "execution.checkpointing.max-concurrent-checkpoints": "2"})


def test_folders_are_local_and_absolute():
    with pytest.raises(ConfigurationError, match="local folders, not to s3://"):
        CheckpointSettings.of({"execution.checkpointing.dir": "s3://bucket/c"})
    with pytest.raises(ConfigurationError, match="'c' is not an absolute path"):
        CheckpointSettings.of({"execution.checkpointing.dir": "c"})


def test_the_folder_without_any():
    assert default_directory({"HOME": "/h"}) == "/h/.local/state/shmflink/checkpoints"
    assert default_directory({"HOME": "/h", "XDG_STATE_HOME": "/x"}) == "/x/shmflink/checkpoints"
    assert default_directory({"HOME": "/h", "XDG_STATE_HOME": "relative"}) == "/h/.local/state/shmflink/checkpoints"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state.backend.type", "rocksdb"),
        ("execution.checkpointing.create-subdir", "false"),
        ("execution.checkpointing.interval-during-backlog", "1 min"),
        ("execution.checkpointing.local-backup.enabled", "true"),
        ("execution.checkpointing.file-merging.enabled", "true"),
    ],
)
def test_what_is_not_there_is_refused_with_its_reason(key, value):
    with pytest.raises(ConfigurationError, match=f"-D: {key} = '{value}' is not supported: "):
        validate({key: value}, "-D")


def test_what_asks_for_nothing_or_only_tunes_is_accepted():
    validate({"state.backend.type": "HashMap", "state.changelog.enabled": "true"}, "-D")
    validate({"state.backend.rocksdb.memory.managed": "true"}, "-D")
