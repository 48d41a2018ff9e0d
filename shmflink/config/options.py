"""Every option, declared once. Keys are Flink's wherever the meaning is the same.

The documentation of keys that Flink does not have says *shmflink only*.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from shmflink.config import kinds
from shmflink.config.checkpoint_options import CHECKPOINTING_OPTIONS, REFUSED
from shmflink.config.flink_options import is_of_flink, note_ignored
from shmflink.config.option import Option
from shmflink.config.python_options import PYTHON_OPTIONS, PYTHON_REFUSED
from shmflink.config.rest_options import REST_OPTIONS
from shmflink.config.restart_options import RESTART_OPTIONS
from shmflink.config.session_options import SESSION_OPTIONS
from shmflink.errors import ConfigurationError

__all__ = [
    "AUTO_GENERATE_UIDS",
    "AUTO_WATERMARK_INTERVAL",
    "BUFFERS_PER_CHANNEL",
    "BUFFER_TIMEOUT",
    "BUFFER_TIMEOUT_ENABLED",
    "CANCELLATION_INTERVAL",
    "CANCELLATION_TIMEOUT",
    "CHAINING_ENABLED",
    "CHAIN_DIFFERENT_MAX_PARALLELISM",
    "CLUSTER_NAME",
    "CPU_PINNING",
    "DEFAULT_PARALLELISM",
    "EXECUTION_TARGET",
    "FLINK_ADDRESS",
    "FLINK_PYTHON",
    "FLOATING_BUFFERS_PER_GATE",
    "GLOBAL_JOB_PARAMETERS",
    "HEARTBEAT_INTERVAL",
    "HEARTBEAT_TIMEOUT",
    "MAX_PARALLELISM",
    "OBJECT_REUSE",
    "OPTIONS",
    "PIPELINE_NAME",
    "PUSHDOWN_ENABLED",
    "RUNTIME_MODE",
    "SEGMENT_SIZE",
    "SLOTS",
    "SLOTS_PER_TASKMANAGER",
    "check_keys",
    "refuse_unknown",
    "validate",
]

DEFAULT_PARALLELISM: Final = Option(
    "parallelism.default",
    kinds.INT,
    None,
    "Parallelism of operators that do not set their own. Default: all slots.",
    minimum=1,
)
PIPELINE_NAME: Final = Option(
    "pipeline.name",
    kinds.STRING,
    None,
    "Name of jobs whose execute() call gives none. Default: Flink Streaming Job.",
)
MAX_PARALLELISM: Final = Option(
    "pipeline.max-parallelism",
    kinds.INT,
    -1,
    "Number of key groups, the upper limit of rescaling. -1: derived from the parallelism, at least 128.",
    minimum=-1,
    maximum=32768,
)
CHAINING_ENABLED: Final = Option(
    "pipeline.operator-chaining.enabled",
    kinds.BOOL,
    True,
    "Whether operators that need no channel between them are chained into one task.",
    old_keys=("pipeline.operator-chaining",),
)
CHAIN_DIFFERENT_MAX_PARALLELISM: Final = Option(
    "pipeline.operator-chaining.chain-operators-with-different-max-parallelism",
    kinds.BOOL,
    True,
    "Whether operators with different max parallelism may be chained.",
)
PUSHDOWN_ENABLED: Final = Option(
    "pipeline.pushdown.enabled",
    kinds.BOOL,
    True,
    "*shmflink only.* Whether filters and column selection are pushed down into sources that can read less.",
)
AUTO_GENERATE_UIDS: Final = Option(
    "pipeline.auto-generate-uids",
    kinds.BOOL,
    True,
    "Whether operators without a uid get an id derived from their place in the program. False: an operator without a "
    "uid is an error.",
)
AUTO_WATERMARK_INTERVAL: Final = Option(
    "pipeline.auto-watermark-interval",
    kinds.DURATION,
    200,
    "How often periodic watermarks are emitted; 0 = after every batch.",
)
OBJECT_REUSE: Final = Option(
    "pipeline.object-reuse",
    kinds.BOOL,
    False,
    "Operators pass objects on without copying them, also to several readers. Set it only if no function modifies an "
    "object that it has received or emitted. It saves the copies of objects that a function keeps or that several "
    "readers receive.",
)
GLOBAL_JOB_PARAMETERS: Final = Option(
    "pipeline.global-job-parameters",
    kinds.MAP,
    None,
    "Parameters key1:value1,key2:value2 that every function can read from its runtime context.",
)
RUNTIME_MODE: Final = Option(
    "execution.runtime-mode",
    kinds.STRING,
    "STREAMING",
    "STREAMING emits every update, BATCH only final results. AUTOMATIC means BATCH if all sources are bounded.",
    choices=("STREAMING", "BATCH", "AUTOMATIC"),
)
BUFFER_TIMEOUT_ENABLED: Final = Option(
    "execution.buffer-timeout.enabled",
    kinds.BOOL,
    True,
    "Whether partly filled segments are shipped after the interval below.",
)
BUFFER_TIMEOUT: Final = Option(
    "execution.buffer-timeout.interval",
    kinds.DURATION,
    100,
    "The longest time that rows wait in a partly filled segment; 0 = ship after every batch.",
    old_keys=("execution.buffer-timeout",),
)
SLOTS: Final = Option(
    "cluster.slots",
    kinds.INT,
    None,
    "*shmflink only.* Slots of a cluster (`--slots`). Default: usable CPUs; more if the jobs of an embedded cluster "
    "need more.",
    minimum=1,
    maximum=4096,
)
CLUSTER_NAME: Final = Option(
    "cluster.name",
    kinds.STRING,
    "default",
    "*shmflink only.* Name of the session cluster that start-cluster starts and to which execution.target: REMOTE "
    "submits jobs.",
)
EXECUTION_TARGET: Final = Option(
    "execution.target",
    kinds.STRING,
    "LOCAL",
    "LOCAL: a program starts a cluster of its own. REMOTE: its jobs run on the session cluster cluster.name. FLINK: "
    "they run on Apache Flink.",
    choices=("LOCAL", "REMOTE", "FLINK"),
)
FLINK_ADDRESS: Final = Option(
    "flink.address",
    kinds.STRING,
    None,
    "*shmflink only.* host:port of the Flink cluster that runs jobs of execution.target: FLINK. Without it, each job "
    "runs in a Flink of its own.",
)
FLINK_PYTHON: Final = Option(
    "flink.python",
    kinds.STRING,
    None,
    "*shmflink only.* The Python with PyFlink for execution.target: FLINK. Default: that of shmflink flink setup.",
)
SLOTS_PER_TASKMANAGER: Final = Option(
    "taskmanager.numberOfTaskSlots",
    kinds.INT,
    1,
    "Slots (threads) in each TaskManager process.",
    minimum=1,
    maximum=256,
)
CPU_PINNING: Final = Option(
    "taskmanager.cpu-pinning",
    kinds.BOOL,
    True,
    "*shmflink only.* Whether each TaskManager is pinned to its own CPUs among the usable ones.",
)
SEGMENT_SIZE: Final = Option(
    "taskmanager.memory.segment-size",
    kinds.BYTES,
    256 * 1024,
    "Size of one segment of shared memory, the unit in which rows travel between subtasks.",
    minimum=4096,
    maximum=1 << 30,
)
BUFFERS_PER_CHANNEL: Final = Option(
    "taskmanager.network.memory.buffers-per-channel",
    kinds.INT,
    2,
    "Segments that every channel may always have in flight (its exclusive credits).",
    minimum=1,
    maximum=1024,
)
FLOATING_BUFFERS_PER_GATE: Final = Option(
    "taskmanager.network.memory.floating-buffers-per-gate",
    kinds.INT,
    8,
    "Segments that the channels of one input share, by backlog, in addition to their exclusive ones.",
    minimum=0,
    maximum=4096,
)
HEARTBEAT_INTERVAL: Final = Option(
    "heartbeat.interval",
    kinds.DURATION,
    1000,
    "How often a TaskManager's native heartbeat thread beats and the JobManager checks.",
    minimum=10,
)
HEARTBEAT_TIMEOUT: Final = Option(
    "heartbeat.timeout",
    kinds.DURATION,
    10_000,
    "A TaskManager without a heartbeat for this long (stopped, swapped out) is killed and considered lost.",
    minimum=50,
)
CANCELLATION_INTERVAL: Final = Option(
    "task.cancellation.interval",
    kinds.DURATION,
    1000,
    "How often tasks that do not stop after a cancel are interrupted: an exception is raised in user code.",
    minimum=10,
)
CANCELLATION_TIMEOUT: Final = Option(
    "task.cancellation.timeout",
    kinds.DURATION,
    30_000,
    "How long tasks may take to stop after a cancel or a failure before their TaskManager is killed.",
    minimum=100,
)

OPTIONS: Final[Mapping[str, Option[object]]] = {
    option.key: option
    for option in (
        SLOTS,
        CLUSTER_NAME,
        EXECUTION_TARGET,
        FLINK_ADDRESS,
        FLINK_PYTHON,
        DEFAULT_PARALLELISM,
        PIPELINE_NAME,
        MAX_PARALLELISM,
        CHAINING_ENABLED,
        CHAIN_DIFFERENT_MAX_PARALLELISM,
        PUSHDOWN_ENABLED,
        AUTO_GENERATE_UIDS,
        AUTO_WATERMARK_INTERVAL,
        OBJECT_REUSE,
        GLOBAL_JOB_PARAMETERS,
        RUNTIME_MODE,
        BUFFER_TIMEOUT_ENABLED,
        BUFFER_TIMEOUT,
        SLOTS_PER_TASKMANAGER,
        CPU_PINNING,
        SEGMENT_SIZE,
        BUFFERS_PER_CHANNEL,
        FLOATING_BUFFERS_PER_GATE,
        HEARTBEAT_INTERVAL,
        HEARTBEAT_TIMEOUT,
        CANCELLATION_INTERVAL,
        CANCELLATION_TIMEOUT,
        *CHECKPOINTING_OPTIONS,
        *RESTART_OPTIONS,
        *PYTHON_OPTIONS,
        *REST_OPTIONS,
        *SESSION_OPTIONS,
    )
}


_REFUSED: Final = {**REFUSED, **PYTHON_REFUSED}


def _check_not_refused(key: str, text: str, where: str) -> None:
    harmless, reason = _REFUSED.get(key, ((text.lower(),), ""))
    if text.strip().lower() not in harmless:
        raise ConfigurationError(f"{where}: {key} = '{text}' is not supported: {reason}")


def _known(key: str) -> Option[object] | None:
    found = OPTIONS.get(key)
    if found is not None:
        return found
    return next((option for option in OPTIONS.values() if key in option.old_keys), None)


def check_keys(keys: Iterable[str], where: str) -> None:
    """`refuse_unknown`; one note names all options for parts of Flink that shmflink does not have."""
    note_ignored(refuse_unknown(keys, where), where)


def refuse_unknown(keys: Iterable[str], where: str) -> list[str]:
    """ConfigurationError for the first unknown key; names the nearest known key and `where` the key was found.

    Returns the options for parts of Flink that shmflink does not have.
    """
    ignored = []
    for key in keys:
        if _known(key) is not None:
            continue
        if key in _REFUSED:  # its value requests nothing: `validate` has checked it
            continue
        if is_of_flink(key, OPTIONS):
            ignored.append(key)
            continue
        near = difflib.get_close_matches(key, OPTIONS, n=1, cutoff=0.5)
        advice = f"did you mean '{near[0]}'?" if near else "configs/shmflink.yaml lists all options"
        raise ConfigurationError(f"{where}: unknown option '{key}'; {advice}")
    return ignored


def validate(settings: Mapping[str, str], where: str) -> None:
    """Checks every key, every value and their combination; ConfigurationError for the first wrong one."""
    for key, text in settings.items():
        _check_not_refused(key, text, where)
    check_keys(settings, where)
    for key, text in settings.items():
        option = _known(key)
        if option is not None:
            option.parse(text)
    interval, timeout = HEARTBEAT_INTERVAL.read(settings), HEARTBEAT_TIMEOUT.read(settings)
    if timeout < 2 * interval:
        raise ConfigurationError(
            f"{where}: {HEARTBEAT_TIMEOUT.key} ({timeout} ms) must be at least twice "
            f"{HEARTBEAT_INTERVAL.key} ({interval} ms)"
        )
