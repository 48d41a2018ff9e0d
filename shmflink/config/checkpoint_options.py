"""Options of checkpoints, savepoints, recovery and high availability; part of `options.OPTIONS`.

Also lists the Flink options that are refused because shmflink lacks the feature that they request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shmflink.config import kinds
from shmflink.config.option import Option

__all__ = [
    "ALIGNED_CHECKPOINT_TIMEOUT",
    "CHECKPOINTING_MODE",
    "CHECKPOINTING_OPTIONS",
    "CHECKPOINTING_TIMEOUT",
    "CHECKPOINTS_AFTER_TASKS_FINISH",
    "CHECKPOINTS_HISTORY",
    "CHECKPOINT_DIRECTORY",
    "CHECKPOINT_INTERVAL",
    "CHECKPOINT_STORAGE",
    "DATA_INLINE_THRESHOLD",
    "EXTERNALIZED_RETENTION",
    "HA_CLUSTER_ID",
    "HA_STORAGE_DIRECTORY",
    "HA_TYPE",
    "INCREMENTAL",
    "MAX_CONCURRENT_CHECKPOINTS",
    "MIN_PAUSE",
    "NUM_RETAINED",
    "RECOVERY_CLAIM_MODE",
    "RECOVERY_IGNORES_UNCLAIMED",
    "RECOVERY_PATH",
    "RECOVERY_TRUSTS_PICKLED",
    "REFUSED",
    "SAVEPOINT_DIRECTORY",
    "SNAPSHOT_COMPRESSION",
    "TOLERABLE_FAILED_CHECKPOINTS",
    "UNALIGNED",
    "UNALIGNED_FORCED",
]

CHECKPOINT_INTERVAL: Final = Option(
    "execution.checkpointing.interval",
    kinds.DURATION,
    None,
    "How often a checkpoint is triggered. Without it there are no checkpoints, and a failed job does not restart.",
    minimum=10,
)
CHECKPOINTING_MODE: Final = Option(
    "execution.checkpointing.mode",
    kinds.STRING,
    "EXACTLY_ONCE",
    "EXACTLY_ONCE: after a recovery the state is as if every record had been seen once. AT_LEAST_ONCE: inputs are not "
    "blocked while barriers arrive, so some records may count twice.",
    choices=("EXACTLY_ONCE", "AT_LEAST_ONCE"),
)
CHECKPOINTING_TIMEOUT: Final = Option(
    "execution.checkpointing.timeout",
    kinds.DURATION,
    600_000,
    "A checkpoint or savepoint that takes longer is aborted.",
    minimum=10,
)
MIN_PAUSE: Final = Option(
    "execution.checkpointing.min-pause",
    kinds.DURATION,
    0,
    "The least time between the completion of one checkpoint and the trigger of the next.",
)
MAX_CONCURRENT_CHECKPOINTS: Final = Option(
    "execution.checkpointing.max-concurrent-checkpoints",
    kinds.INT,
    1,
    "How many checkpoints may be in progress at the same time; savepoints do not count.",
    minimum=1,
    maximum=1000,
)
TOLERABLE_FAILED_CHECKPOINTS: Final = Option(
    "execution.checkpointing.tolerable-failed-checkpoints",
    kinds.INT,
    0,
    "How many checkpoints in a row may fail before the job fails (and restarts).",
    minimum=0,
    maximum=2**31 - 1,
)
CHECKPOINT_STORAGE: Final = Option(
    "execution.checkpointing.storage",
    kinds.STRING,
    "FILESYSTEM",
    "Accepted for compatibility with Flink: checkpoints are always files. JOBMANAGER (in Flink: in its memory) is the "
    "same as setting no checkpoint directory.",
    choices=("FILESYSTEM", "JOBMANAGER"),
    old_keys=("state.checkpoint-storage",),
)
CHECKPOINT_DIRECTORY: Final = Option(
    "execution.checkpointing.dir",
    kinds.STRING,
    None,
    "Folder of the checkpoints, as <dir>/<job id>/chk-<n>. Default: shmflink/checkpoints in $XDG_STATE_HOME "
    "(~/.local/state).",
    old_keys=("state.checkpoints.dir",),
)
SAVEPOINT_DIRECTORY: Final = Option(
    "execution.checkpointing.savepoint-dir",
    kinds.STRING,
    None,
    "Folder for savepoints when the request names none.",
    old_keys=("state.savepoints.dir",),
)
NUM_RETAINED: Final = Option(
    "execution.checkpointing.num-retained",
    kinds.INT,
    1,
    "How many completed checkpoints are retained. With more than one, the job survives a corrupted checkpoint.",
    minimum=1,
    maximum=10_000,
    old_keys=("state.checkpoints.num-retained",),
)
EXTERNALIZED_RETENTION: Final = Option(
    "execution.checkpointing.externalized-checkpoint-retention",
    kinds.STRING,
    "NO_EXTERNALIZED_CHECKPOINTS",
    "What happens to the retained checkpoints when the job is canceled: RETAIN_ON_CANCELLATION keeps them. "
    "NO_EXTERNALIZED_CHECKPOINTS deletes them when the job fails, too. When the job finishes, they are always deleted.",
    choices=("DELETE_ON_CANCELLATION", "RETAIN_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS"),
)
INCREMENTAL: Final = Option(
    "execution.checkpointing.incremental",
    kinds.BOOL,
    True,
    "Whether a checkpoint writes only what changed since the previous one (Flink's default is false).",
    old_keys=("state.backend.incremental",),
)
UNALIGNED: Final = Option(
    "execution.checkpointing.unaligned.enabled",
    kinds.BOOL,
    False,
    "Whether barriers overtake data, which then becomes part of the checkpoint: shortens checkpoints under "
    "back-pressure. Needs EXACTLY_ONCE and at most one concurrent checkpoint.",
    old_keys=("execution.checkpointing.unaligned",),
)
UNALIGNED_FORCED: Final = Option(
    "execution.checkpointing.unaligned.forced",
    kinds.BOOL,
    False,
    "Accepted for compatibility with Flink; has no effect: unaligned checkpoints work for every job graph.",
)
ALIGNED_CHECKPOINT_TIMEOUT: Final = Option(
    "execution.checkpointing.aligned-checkpoint-timeout",
    kinds.DURATION,
    0,
    "With unaligned checkpoints: each begins aligned and becomes unaligned after this time; 0 = unaligned at once.",
    old_keys=("execution.checkpointing.alignment-timeout",),
)
CHECKPOINTS_AFTER_TASKS_FINISH: Final = Option(
    "execution.checkpointing.checkpoints-after-tasks-finish",
    kinds.BOOL,
    True,
    "Whether checkpoints continue after some tasks have finished. False: no further checkpoints; sinks commit the "
    "output since the last checkpoint when the job ends.",
    old_keys=("execution.checkpointing.checkpoints-after-tasks-finish.enabled",),
)
DATA_INLINE_THRESHOLD: Final = Option(
    "execution.checkpointing.data-inline-threshold",
    kinds.BYTES,
    20 * 1024,
    "State files up to this size become part of the checkpoint's metadata file.",
    minimum=0,
    maximum=1 << 20,
    old_keys=("state.storage.fs.memory-threshold",),
)
SNAPSHOT_COMPRESSION: Final = Option(
    "execution.checkpointing.snapshot-compression",
    kinds.BOOL,
    False,
    "Whether state files are compressed (LZ4 inside Arrow IPC).",
)
CHECKPOINTS_HISTORY: Final = Option(
    "web.checkpoints.history",
    kinds.INT,
    10,
    "How many past checkpoints are remembered for display.",
    minimum=0,
    maximum=10_000,
)
RECOVERY_PATH: Final = Option(
    "execution.state-recovery.path",
    kinds.STRING,
    None,
    "Savepoint or checkpoint from which the job starts (`run -s`).",
    old_keys=("execution.savepoint.path",),
)
RECOVERY_CLAIM_MODE: Final = Option(
    "execution.state-recovery.claim-mode",
    kinds.STRING,
    "NO_CLAIM",
    "NO_CLAIM: shmflink leaves the restored checkpoint or savepoint untouched, and the job's first checkpoint does not "
    "depend on it. CLAIM: the job owns it and deletes it when it is no longer needed.",
    choices=("NO_CLAIM", "CLAIM"),
    old_keys=("execution.savepoint-restore-mode",),
)
RECOVERY_IGNORES_UNCLAIMED: Final = Option(
    "execution.state-recovery.ignore-unclaimed-state",
    kinds.BOOL,
    False,
    "Whether state of operators that the program no longer has is dropped (`run -n`); otherwise it is an error.",
    old_keys=("execution.savepoint.ignore-unclaimed-state",),
)
RECOVERY_TRUSTS_PICKLED: Final = Option(
    "execution.state-recovery.trust-pickled-state",
    kinds.BOOL,
    False,
    "Whether to load pickled state from a savepoint or checkpoint of another user (`run --trust-pickled-state`), which "
    "runs code of its author. Your own pickled state is always loaded.",
)
HA_TYPE: Final = Option(
    "high-availability.type",
    kinds.STRING,
    "NONE",
    "FILESYSTEM: the folder below records jobs and the paths of their checkpoints; a JobManager that starts there "
    "recovers the jobs.",
    choices=("NONE", "FILESYSTEM"),
    old_keys=("high-availability", "high-availability.mode"),
)
HA_STORAGE_DIRECTORY: Final = Option(
    "high-availability.storageDir",
    kinds.STRING,
    None,
    "Folder for what must outlive a JobManager. Default: shmflink/ha in $XDG_STATE_HOME (~/.local/state).",
)
HA_CLUSTER_ID: Final = Option(
    "high-availability.cluster-id",
    kinds.STRING,
    "default",
    "Folder inside high-availability.storageDir: JobManagers with the same id take over each other's jobs.",
)

CHECKPOINTING_OPTIONS: Final[tuple[Option[object], ...]] = (
    CHECKPOINT_INTERVAL,
    CHECKPOINTING_MODE,
    CHECKPOINTING_TIMEOUT,
    MIN_PAUSE,
    MAX_CONCURRENT_CHECKPOINTS,
    TOLERABLE_FAILED_CHECKPOINTS,
    CHECKPOINT_STORAGE,
    CHECKPOINT_DIRECTORY,
    SAVEPOINT_DIRECTORY,
    NUM_RETAINED,
    EXTERNALIZED_RETENTION,
    INCREMENTAL,
    UNALIGNED,
    UNALIGNED_FORCED,
    ALIGNED_CHECKPOINT_TIMEOUT,
    CHECKPOINTS_AFTER_TASKS_FINISH,
    DATA_INLINE_THRESHOLD,
    SNAPSHOT_COMPRESSION,
    CHECKPOINTS_HISTORY,
    RECOVERY_PATH,
    RECOVERY_CLAIM_MODE,
    RECOVERY_IGNORES_UNCLAIMED,
    RECOVERY_TRUSTS_PICKLED,
    HA_TYPE,
    HA_STORAGE_DIRECTORY,
    HA_CLUSTER_ID,
)

_SUBDIR: Final = "the checkpoints of a job are always in a folder named by its id"
_LOCAL: Final = "the checkpoint folder is already on this host"
REFUSED: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "execution.checkpointing.create-subdir": (("true",), _SUBDIR),
    "state.checkpoints.create-subdir": (("true",), _SUBDIR),
    "execution.checkpointing.interval-during-backlog": ((), "sources do not distinguish a backlog from other input"),
    "execution.checkpointing.local-backup.enabled": (("false",), _LOCAL),
    "execution.checkpointing.local-backup.dirs": ((), _LOCAL),
    "execution.state-recovery.from-local": (("false",), _LOCAL),
    "execution.checkpointing.file-merging.enabled": (
        ("false",),
        "small files go into the metadata file instead: see execution.checkpointing.data-inline-threshold",
    ),
    "state.backend.type": (("hashmap",), "state is kept in memory, written incrementally to the checkpoint folder"),
    "state.backend": (("hashmap",), "state is kept in memory, written incrementally to the checkpoint folder"),
}
"""Refused options of Flink: the (lower-case) values that request nothing and pass, and the reason that refuses all
others.
"""
