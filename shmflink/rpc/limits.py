"""How many descriptors a cluster needs, and the error message if a limit of the process is too low."""

from __future__ import annotations

import errno
import resource
from typing import Final

from shmflink.errors import ResourceError, ShmflinkError

__all__ = ["check_descriptors", "descriptors_needed", "system_error_text"]

# Seen with `ls /proc/PID/fd`: per TaskManager, the JobManager holds a socket, a pidfd, a status page, and the ring
# memory and arena of an attempt; one more is in transit to a peer. A TaskManager holds two per peer.
_PER_TASKMANAGER: Final = 6
_OF_ITS_OWN: Final = 24


def descriptors_needed(taskmanagers: int) -> int:
    """How many descriptors the JobManager of this many TaskManagers opens; none of its processes needs more."""
    return _OF_ITS_OWN + _PER_TASKMANAGER * taskmanagers


def check_descriptors(taskmanagers: int, limit: int) -> None:
    """Raises ResourceError, with both numbers, if `limit` (the soft RLIMIT_NOFILE) is too low."""
    needed = descriptors_needed(taskmanagers)
    if limit != resource.RLIM_INFINITY and needed > limit:
        raise ResourceError(
            f"too few file descriptors: 'ulimit -n' is {limit}, but a cluster of {taskmanagers} TaskManagers needs "
            f"{needed}. Raise the limit ('ulimit -n', LimitNOFILE= of a systemd unit) or use fewer slots"
        )


def system_error_text(error: BaseException) -> str:
    """An exception as text; if it comes from a limit of the process, with the limit's name and value."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"too many open files: 'ulimit -n' is {limit}; raise it"
    if number == errno.EFBIG:
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        return f"a file would exceed the file size limit: 'ulimit -f' allows {limit} bytes; raise it"
    if number == errno.EAGAIN and getattr(error, "filename", None) is None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        return f"cannot start another process or thread: 'ulimit -u' is {limit}, or the cgroup's pids.max is reached"
    return str(error) if isinstance(error, ShmflinkError) else f"{type(error).__name__}: {error}"
