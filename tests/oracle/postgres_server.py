"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on a Unix socket alone."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

TRIES_MAX = 600


def binaries() -> Path | None:
    """Where Debian's package, or the PATH, has the server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """Runs as the user `postgres` where the tests run as root, which PostgreSQL refuses to do."""

    def __init__(self) -> None:
        folder = binaries()
        if folder is None:
            pytest.skip("no PostgreSQL server: install Debian's package `postgresql` (.ci/run does)")
        self._bin = folder
        self._user = "postgres" if os.getuid() == 0 else None
        self._root = Path(tempfile.mkdtemp(prefix="shmflink-pg-"))
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(self._root, entry.pw_uid, entry.pw_gid)
        self._data = self._root / "data"
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "test", "--no-sync", "-E", "UTF8")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"host={self._root} user=test dbname=postgres"

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Ready when it returns. After a kill the old server's processes may still be going."""
        for _ in range(TRIES_MAX):
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url).close()
                return
            threading.Event().wait(0.05)
        raise AssertionError((self._root / "log").read_text())

    def kill(self) -> None:
        """SIGKILL to all of it, as when the machine loses power, but for the disk's cache."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self._root, ignore_errors=True)

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {"listen_addresses": "", "unix_socket_directories": str(self._root), "fsync": "off"}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._root / "log").open("ab") as log:
            return subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                user=self._user,
                process_group=0,
            )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self._root,
            user=self._user,
            check=False,
        )
        assert done.returncode == 0, done.stderr
