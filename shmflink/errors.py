"""Every exception that shmflink raises on purpose.

::

    ShmflinkError
    ├── UsageError                 yours: change the program, its configuration or its input
    │   ├── ConfigurationError     an option: unknown key, wrong type or unit, out of range, conflict
    │   ├── JobGraphError          the graph cannot be built or run as written
    │   │   └── InsufficientSlotsError
    │   ├── SerializationError     something that must be sent cannot be pickled or typed
    │   ├── TypeMismatchError      a value does not fit the type declared for it
    │   ├── DataFormatError        an input file or record is malformed
    │   ├── StateMismatchError     saved state does not fit the job that is to resume from it
    │   └── UserFunctionError      the user's function raised; carries its traceback and the record
    ├── PeerError                  another process of the cluster is gone or does not answer
    │   ├── TaskManagerLostError
    │   ├── JobManagerLostError
    │   └── RpcError
    │       └── RequestFailedError a running JobManager refused a request or could not perform it
    ├── ResourceError              the system: memory, descriptors, disk, permissions
    │   ├── DirectoryInUseError    another JobManager holds the HA directory
    │   ├── StagedDataLostError    what a sink staged for a checkpoint is gone
    │   └── CheckpointError        a checkpoint or savepoint cannot be written or read
    │       ├── CheckpointCorruptedError
    │       └── CheckpointRefusedError
    ├── JobExecutionError          what `execute()` raises when a job fails; carries the first cause
    │   └── JobCancelledError
    └── InternalError              our bug: an impossible state
        └── CorruptChannelError    a descriptor or batch image in shared memory breaks the protocol

A message says which job, operator and subtask, what was expected, what was found and what to do next.
The native core raises these same classes.
"""

from __future__ import annotations

__all__ = [
    "CheckpointCorruptedError",
    "CheckpointError",
    "CheckpointRefusedError",
    "ConfigurationError",
    "CorruptChannelError",
    "DataFormatError",
    "DirectoryInUseError",
    "InsufficientSlotsError",
    "InternalError",
    "JobCancelledError",
    "JobExecutionError",
    "JobGraphError",
    "JobManagerLostError",
    "PeerError",
    "RequestFailedError",
    "ResourceError",
    "RpcError",
    "SerializationError",
    "ShmflinkError",
    "StagedDataLostError",
    "StateMismatchError",
    "TaskManagerLostError",
    "TypeMismatchError",
    "UsageError",
    "UserFunctionError",
]


class ShmflinkError(Exception):
    """Root of all errors raised on purpose by shmflink."""


class UsageError(ShmflinkError):
    """Change the program, its configuration or its input."""


class ConfigurationError(UsageError):
    """An option is unknown, has a wrong type or unit, is out of range or conflicts with another."""


class JobGraphError(UsageError):
    """The job graph cannot be built or run as the program describes it."""


class InsufficientSlotsError(JobGraphError):
    """The job needs more slots than the cluster has; raised before anything starts."""


class SerializationError(UsageError):
    """A function or value that must be sent to another process cannot be serialized."""


class TypeMismatchError(UsageError):
    """A value does not fit its declared type."""


class DataFormatError(UsageError):
    """An input file or record is malformed; the message names the file and the place."""


class StateMismatchError(UsageError):
    """Saved state does not fit the job: another maximum parallelism, another type, state that no operator takes."""


class UserFunctionError(UsageError):
    """A user's function raised.

    Attributes:
        operator: the operator's name.
        subtask: the subtask's index, 0-based.
        record: ``repr`` of the offending record, shortened; ``None`` if there is no single record.
        traceback_text: the user's own traceback as Python prints it.
    """

    def __init__(
        self,
        message: str,
        *,
        operator: str = "",
        subtask: int = -1,
        record: str | None = None,
        traceback_text: str = "",
    ) -> None:
        super().__init__(message)
        self.operator = operator
        self.subtask = subtask
        self.record = record
        self.traceback_text = traceback_text


class PeerError(ShmflinkError):
    """Another process of the cluster is gone or does not answer."""


class TaskManagerLostError(PeerError):
    """A TaskManager died or stopped answering."""


class JobManagerLostError(PeerError):
    """The JobManager died or its connection broke."""


class RpcError(PeerError):
    """A control message could not be sent, received or understood."""


class RequestFailedError(RpcError):
    """A running JobManager refused a request or could not perform it; the message is its reason."""


class ResourceError(ShmflinkError):
    """The system refused memory, descriptors, disk or permissions; the message says how much was needed."""


class DirectoryInUseError(ResourceError):
    """Another JobManager holds the HA directory; the message names it.

    `holder`: its process id, and since when it runs, as text; None where its note cannot be read.
    """

    holder: tuple[int, str] | None = None


class CheckpointError(ResourceError):
    """A checkpoint or savepoint cannot be written, found or read; the message names its path."""


class CheckpointCorruptedError(CheckpointError):
    """A file of a checkpoint is missing, truncated or changed; the message names checkpoint and file."""


class CheckpointRefusedError(CheckpointError):
    """Another user wrote the checkpoint, and what it has pickled is not loaded; the message says how to trust it."""


class StagedDataLostError(ResourceError):
    """A sink cannot commit: what it staged for a checkpoint is gone or has been changed; the message names it."""


class JobExecutionError(ShmflinkError):
    """The job failed.

    Attributes:
        job_id: 32 hexadecimal digits.
        cause_text: the first cause as text; if a user's function raised, the user's traceback.
    """

    def __init__(self, message: str, *, job_id: str = "", cause_text: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id
        self.cause_text = cause_text


class JobCancelledError(JobExecutionError):
    """The job was canceled before it finished."""


class InternalError(ShmflinkError):
    """An impossible state: a bug in shmflink. The message carries the recent transitions."""


class CorruptChannelError(InternalError):
    """A descriptor or batch image in shared memory breaks the protocol; it is refused and never followed."""
