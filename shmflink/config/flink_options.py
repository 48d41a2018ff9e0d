"""Options of parts of Flink that shmflink does not have: accepted with one note, so that programs and
configuration files stay portable.

Such an option tunes the JVM's memory, its jars, the ports of its servers or Python's bridge to it. None of these exists
here, so a job's results do not depend on the option. Options that affect a result or a guarantee are refused instead
(`checkpoint_options.REFUSED`).
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["STATE_CHANGELOG_KEY", "is_of_flink", "note_ignored", "why_ignored"]

_LOG: Final = logging.getLogger(__name__)

STATE_CHANGELOG_KEY: Final = "state.changelog.enabled"

_NO_JVM: Final = "there is no JVM"
_NO_MEMORY_MODEL: Final = (
    "there is no JVM; taskmanager.memory.segment-size and the buffers per channel determine the shared memory"
)
_OWN_SERVERS: Final = "the JobManager and its processes find each other by themselves"
_CHECKPOINTS: Final = "checkpoints write changes, in their own threads"
_PYTHON: Final = "functions run in the Python that runs the program"
_ELSEWHERE: Final = "this version starts its own processes on one host"

_FAMILIES: Final[Mapping[str, str]] = {
    "akka.": _OWN_SERVERS,
    "pekko.": _OWN_SERVERS,
    "blob.": _OWN_SERVERS,
    "rpc.": _OWN_SERVERS,
    "rest.": _OWN_SERVERS,
    "web.": _OWN_SERVERS,
    "historyserver.": _OWN_SERVERS,
    "jobmanager.bind-host": _OWN_SERVERS,
    "jobmanager.rpc.": _OWN_SERVERS,
    "jobmanager.adaptive-": _OWN_SERVERS,
    "jobmanager.archive.": _OWN_SERVERS,
    "jobmanager.scheduler": _OWN_SERVERS,
    "jobstore.": _OWN_SERVERS,
    "slot.": _OWN_SERVERS,
    "slotmanager.": _OWN_SERVERS,
    "resourcemanager.": _OWN_SERVERS,
    "taskmanager.bind-host": _OWN_SERVERS,
    "taskmanager.data.": _OWN_SERVERS,
    "taskmanager.host": _OWN_SERVERS,
    "taskmanager.registration.": _OWN_SERVERS,
    "taskmanager.resource-id": _OWN_SERVERS,
    "taskmanager.rpc.": _OWN_SERVERS,
    "cluster.": _OWN_SERVERS,
    "jobmanager.heap.": _NO_MEMORY_MODEL,
    "jobmanager.memory.": _NO_MEMORY_MODEL,
    "taskmanager.heap.": _NO_MEMORY_MODEL,
    "taskmanager.memory.": _NO_MEMORY_MODEL,
    "taskmanager.network.": _NO_MEMORY_MODEL,
    "taskmanager.cpu.cores": _NO_MEMORY_MODEL,
    "taskmanager.debug.memory.": _NO_MEMORY_MODEL,
    "classloader.": _NO_JVM,
    "env.": _NO_JVM,
    "io.tmp.dirs": "the environment variable TMPDIR names the folder for temporary files",
    "pipeline.cached-files": "all processes see this host's files",
    "pipeline.classpaths": _NO_JVM,
    "pipeline.closure-cleaner-level": _NO_JVM,
    "pipeline.force-avro": _NO_JVM,
    "pipeline.force-kryo": _NO_JVM,
    "pipeline.generic-types": _NO_JVM,
    "pipeline.jars": _NO_JVM,
    "pipeline.serialization-config": _NO_JVM,
    "pipeline.vertex-": "it only changes names in logs",
    "python.": _PYTHON,
    "python.fn-execution.": f"{_PYTHON}; how long rows wait for a batch is execution.buffer-timeout.interval",
    "python.execution-mode": f"{_PYTHON}, in the processes of their slots: see cluster.slots",
    "python.metric.": "metrics of functions are always on",
    "python.state.": "state is in the process of its function, so there is no cache",
    "execution.checkpointing.write-buffer-size": _CHECKPOINTS,
    "execution.checkpointing.unaligned.interruptible-timers.": _CHECKPOINTS,
    "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file": _CHECKPOINTS,
    STATE_CHANGELOG_KEY: _CHECKPOINTS,
    "state.changelog.": _CHECKPOINTS,
    "state.backend.changelog.": _CHECKPOINTS,
    "state.backend.forst.": _CHECKPOINTS,
    "state.backend.heap.": _CHECKPOINTS,
    "state.backend.latency-track.": _CHECKPOINTS,
    "state.backend.rocksdb.": _CHECKPOINTS,
    "state.latency-track.": _CHECKPOINTS,
    "metrics.latency.": "there are no latency markers",
    "metrics.scope.": "scopes use Flink's default format",
    "external-resources": _ELSEWHERE,
    "kubernetes.": _ELSEWHERE,
    "yarn.": _ELSEWHERE,
    "zookeeper.": _ELSEWHERE,
    "fs.": "file systems take their options from `storage_options`",
    "s3.": "file systems take their options from `storage_options`",
    "table.": "the Table API is not in this version",
    "sql-client.": "the Table API is not in this version",
    "sql-gateway.": "the Table API is not in this version",
}
_SO_NEAR: Final = 0.9

_noted: set[str] = set()


def why_ignored(key: str) -> str | None:
    """Why an option of Flink has no effect; None if it is not known to be Flink's."""
    fitting = [prefix for prefix in _FAMILIES if key.startswith(prefix)]
    return _FAMILIES[max(fitting, key=len)] if fitting else None


def is_of_flink(key: str, known: Iterable[str]) -> bool:
    """Whether `key` is an ignored option of Flink, and not a misspelled known one."""
    return why_ignored(key) is not None and not difflib.get_close_matches(key, known, n=1, cutoff=_SO_NEAR)


def note_ignored(keys: Iterable[str], where: str) -> None:
    """Logs, once per process, which options have no effect, and why."""
    new = [key for key in keys if key not in _noted]
    _noted.update(new)
    by_reason: dict[str, list[str]] = {}
    for key in new:
        by_reason.setdefault(why_ignored(key) or "", []).append(key)
    if new:
        text = "; ".join(f"{', '.join(sorted(names))} ({reason})" for reason, names in by_reason.items())
        _LOG.warning("%s: options of Flink that have no effect here: %s", where, text)
