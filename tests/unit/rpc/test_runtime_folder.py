"""The folder of control sockets: who owns it, and which sockets are dead."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from shmflink.errors import ResourceError
from shmflink.rpc.runtime_folder import connect, control_sockets, listen, remove_dead, runtime_folders


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_users_runtime_folder_comes_first_where_there_is_one(tmp_path):
    assert runtime_folders({"XDG_RUNTIME_DIR": str(tmp_path)}, 7) == (f"{tmp_path}/shmflink", "/tmp/shmflink-7")
    assert runtime_folders({"XDG_RUNTIME_DIR": str(tmp_path / "none")}, 7) == ("/tmp/shmflink-7",)
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    assert runtime_folders({"XDG_RUNTIME_DIR": str(deep)}, 7) == ("/tmp/shmflink-7",), "no room for a socket's name"


def test_folder_and_socket_are_the_users_alone(tmp_path):
    """[R13] [M7] Modes whatever the umask."""
    folder = str(tmp_path / "shmflink")
    before = os.umask(0)
    try:
        listener, path = listen([folder], 4711)
    finally:
        os.umask(before)
    assert path == f"{folder}/4711.sock"
    assert (mode(folder), mode(path)) == (0o700, 0o600)
    assert control_sockets([folder]) == [path]
    listener.close()


@pytest.mark.parametrize(("prepare", "message"), [
    (lambda path: (path.mkdir(), path.chmod(0o755)), "accessible to other users"),
    (lambda path: path.write_text(""), "is not a folder"),
    (lambda path: path.symlink_to("/tmp"), "is not a folder"),
])  # fmt: skip
def test_a_folder_that_others_may_write_to_is_refused_and_the_next_one_taken(tmp_path, prepare, message):
    """[R13]"""
    prepare(tmp_path / "bad")
    with pytest.raises(ResourceError, match=message):
        listen([str(tmp_path / "bad")], 1)
    listener, path = listen([str(tmp_path / "bad"), str(tmp_path / "good")], 1)
    assert path == f"{tmp_path}/good/1.sock"
    assert control_sockets([str(tmp_path / "bad")]) == []
    listener.close()


def test_a_foreign_folder_is_refused(tmp_path, monkeypatch):
    """[M8] [R13]"""
    (tmp_path / "mine").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ResourceError, match="belongs to user"):
        listen([str(tmp_path / "mine")], 1)


def test_sockets_of_the_dead_are_found_out_and_removed(tmp_path):
    """[M4] [M5] Not by process id: by the socket, which nobody listens at."""
    folder = str(tmp_path)
    os.chmod(folder, 0o700)
    living, path = listen([folder], os.getpid())
    dead, left = listen([folder], 1)
    dead.close()
    assert control_sockets([folder]) == sorted([path, left])
    assert connect(left) is None
    assert control_sockets([folder]) == [path]
    dead, left = listen([folder], 1)
    dead.close()
    remove_dead([folder], pid=2)
    assert control_sockets([folder]) == sorted([path, left])
    remove_dead([folder])
    assert control_sockets([folder]) == [path]
    connection = connect(path)
    assert connection is not None
    connection.close()
    living.close()


def test_the_same_process_id_in_another_namespace_gets_another_name(tmp_path):
    """[M5]"""
    folder = str(tmp_path / "shmflink")
    first, one = listen([folder], 9)
    second, two = listen([folder], 9)
    assert (os.path.basename(one), os.path.basename(two)) == ("9.sock", "9-2.sock")
    first.close()
    third, again = listen([folder], 9)
    assert again == one
    for listener in (second, third):
        listener.close()


def test_a_socket_that_was_left_half_made_does_not_stand_in_the_way(tmp_path):
    folder = str(tmp_path / "shmflink")
    os.mkdir(folder, 0o700)
    half = socket.socket(socket.AF_UNIX)
    half.bind(f"{folder}/.9.sock.new")
    half.close()
    listener, _ = listen([folder], 9)
    assert os.listdir(folder) == ["9.sock"]
    listener.close()
