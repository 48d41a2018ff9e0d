"""Where this user's JobManagers create their control sockets, and how other processes find them.

::

    $XDG_RUNTIME_DIR/shmflink/<pid>.sock      /tmp/shmflink-<uid>/<pid>.sock if that is not set or does not exist

Only this user can use the folder (mode 0700, checked); the sockets have mode 0600, and the peer's user is checked as
well (`wire.check_peer`). A socket is bound under another name and renamed once it listens: a socket that refuses a
connection belongs to a dead JobManager.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.errors import ResourceError, RpcError
from shmflink.rpc.connection import BlockingConnection

__all__ = [
    "connect",
    "control_sockets",
    "listen",
    "own_folder",
    "remove_dead",
    "runtime_folders",
]

_SUFFIX: Final = ".sock"
_PATH_BYTES_MAX: Final = 107  # of sockaddr_un, without the terminating zero
_FILE_NAME_BYTES_MAX: Final = len("/.4194304.sock.new")
_BACKLOG: Final = 64
_CONNECT_S: Final = 5.0


def runtime_folders(environment: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Folders that may hold sockets, the preferred one first.

    A service and a shell of the same user may have different values of XDG_RUNTIME_DIR, so search all folders.
    """
    folders = [f"/tmp/shmflink-{uid}"]  # noqa: S108  owner and mode are checked before it is used
    given = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    own = os.path.join(given, "shmflink")
    if os.path.isdir(given) and len(os.fsencode(own)) + _FILE_NAME_BYTES_MAX <= _PATH_BYTES_MAX:
        folders.insert(0, own)
    return tuple(folders)


def listen(folders: Sequence[str], pid: int) -> tuple[socket.socket, str]:
    """A listening socket and its path, in the first folder that can be made private.

    ResourceError, with the reason for each folder, if there is none.
    """
    reasons = []
    for folder in folders:
        try:
            _make_ours(folder)
            return _bind(folder, pid)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
        except ResourceError as error:
            reasons.append(str(error))
    raise ResourceError(f"no folder for the control socket: {'; '.join(reasons)}")


def own_folder(folders: Sequence[str]) -> str:
    """The folder on which all processes of this user agree, in any environment; made private.

    ResourceError or OSError if that is impossible.
    """
    _make_ours(folders[-1])
    return folders[-1]


def _make_ours(folder: str) -> None:
    """Creates the folder with mode 0700; ResourceError if anybody else may write to it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    _check_ours(folder)


def _check_ours(folder: str) -> None:
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise ResourceError(f"{folder} is not a folder: remove it")
    if found.st_uid != os.getuid():
        raise ResourceError(f"{folder} belongs to user {found.st_uid}, not to {os.getuid()}: have its owner remove it")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ResourceError(f"{folder} is accessible to other users (mode {mode:04o}): chmod 700 {folder}")


def _bind(folder: str, pid: int) -> tuple[socket.socket, str]:
    path = os.path.join(folder, f"{pid}{_SUFFIX}")
    number = 1
    while os.path.lexists(path) and not _remove_if_dead(path):  # a process of another pid namespace has the same number
        number += 1
        path = os.path.join(folder, f"{pid}-{number}{_SUFFIX}")
    fresh = os.path.join(folder, f".{os.path.basename(path)}.new")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        listener.bind(fresh)  # nobody else can reach it: the folder is private
        os.chmod(fresh, 0o600)
        listener.listen(_BACKLOG)
        os.rename(fresh, path)
    except OSError:
        listener.close()
        raise
    return listener, path


def control_sockets(folders: Sequence[str]) -> list[str]:
    """Paths of the sockets in these folders, including dead ones; skips folders that are not private."""
    found = []
    for folder in folders:
        try:
            _check_ours(folder)
            names = os.listdir(folder)
        except (OSError, ResourceError):
            continue
        found += [os.path.join(folder, name) for name in names if name.endswith(_SUFFIX) and not name.startswith(".")]
    return sorted(found)


def connect(path: str) -> BlockingConnection | None:
    """A connection to the JobManager of a socket; None if it is dead, and then the socket is removed."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_CONNECT_S)  # a stopped JobManager, whose queue is full
        sock.connect(path)
        return BlockingConnection(sock)
    except FileNotFoundError:
        sock.close()
        return None
    except ConnectionRefusedError:
        sock.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return None
    except (OSError, RpcError) as error:
        sock.close()
        raise RpcError(f"cannot connect to {path}: {error}") from None


def _remove_if_dead(path: str) -> bool:
    try:
        connection = connect(path)
    except RpcError:
        return False
    if connection is None:
        return True
    connection.close()
    return False


def remove_dead(folders: Sequence[str], pid: int | None = None) -> None:
    """Removes sockets of dead JobManagers: of one process, or all."""
    for path in control_sockets(folders):
        owner = os.path.basename(path).removesuffix(_SUFFIX).partition("-")[0]
        if pid is None or owner == str(pid):
            _remove_if_dead(path)
