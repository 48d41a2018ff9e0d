"""A region at the bottom of the terminal that is redrawn in place; all other output appears above it.

Output of the cluster's processes comes through pipes. Output of this process comes through streams that replace
`sys.stdout` and `sys.stderr`. Both are written in whole lines while the region is shown. As there is only one writer,
nothing overwrites anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import stat
import struct
import sys
import termios
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["LiveRegion", "TerminalStreams"]

_READ_BYTES: Final = 1 << 16
_PARTIAL_BYTES_MAX: Final = 1 << 16  # of a line without a newline, while the region is shown
_STDOUT: Final = 1
_STDERR: Final = 2


class LiveRegion:
    """Draws on the terminal of descriptor `fd`. Callable from any thread."""

    def __init__(self, console: Console, fd: int = _STDERR) -> None:
        """`console` renders; it writes nothing itself."""
        self._console = console
        self._fd = fd
        self._lock = threading.RLock()
        self._text = ""  # of the region as drawn
        self._partial: dict[tuple[object, int], bytes] = {}  # by source and descriptor: text without a newline yet
        self._is_line_open = False  # above the region, or while it is hidden

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        return self._console.width, self._console.height

    def rendered(self, *pictures: RenderableType, **options: Any) -> str:
        """As written to the terminal: with colors, cut to its width."""
        with self._console.capture() as captured:
            self._console.print(*pictures, **options)
        return captured.get()

    def show(self, picture: RenderableType) -> None:
        """Draws the region in place of the previous one."""
        lines = self.rendered(picture).splitlines(keepends=True)
        with self._lock:
            first = "\n" if self._is_line_open else ""
            self._is_line_open = False
            drawn, self._text = self._text, "".join(lines[: self._console.height - 1])
            self._write(self._fd, f"{first}{_erased(drawn)}{self._text}".encode())

    def write_above(self, data: bytes, source: object, fd: int = _STDERR) -> None:
        """Writes whole lines at once, the rest with its newline; while the region is hidden, everything at once."""
        key = (source, fd)
        with self._lock:
            if not self._text:
                data = self._partial.pop(key, b"") + data
                if data:
                    self._write(fd, data)
                    self._is_line_open = not data.endswith(b"\n")
                return
            whole, end, rest = (self._partial.get(key, b"") + data).rpartition(b"\n")
            if len(rest) > _PARTIAL_BYTES_MAX:
                whole, end, rest = whole + end + rest, b"\n", b""
            self._partial[key] = rest
            if whole or end:
                self._write(self._fd, _erased(self._text).encode())
                self._write(fd, whole + end)
                self._write(self._fd, self._text.encode())

    def hide(self) -> None:
        """Removes the region; writes the lines that have no newline yet."""
        with self._lock:
            if self._text:
                self._write(self._fd, _erased(self._text).encode())
            self._text = ""
            for source, fd in list(self._partial):
                self.write_above(b"", source, fd)

    @staticmethod
    def _write(fd: int, data: bytes) -> None:
        view = memoryview(data)
        with contextlib.suppress(OSError):  # the terminal hung up: the job continues
            while view:
                view = view[os.write(fd, view) :]


def _erased(text: str) -> str:
    """The text that erases the drawn lines; the cursor is below them."""
    lines = text.count("\n")
    return f"\x1b[{lines}F\x1b[0J" if lines else ""


class _Above(io.RawIOBase):
    """One of this process's standard streams."""

    def __init__(self, region: LiveRegion, fd: int) -> None:
        super().__init__()
        self._region = region
        self._fd = fd

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        self._region.write_above(content, self._fd, self._fd)
        return len(content)


class TerminalStreams:
    """Routes output for the region's terminal through the region: output of this process, and of the processes that
    inherit `for_processes`. Standard output that goes elsewhere is not touched.
    """

    def __init__(self, region: LiveRegion) -> None:
        self._region = region
        self._before = (sys.stdout, sys.stderr)
        self._pipes: dict[int, int] = {}  # by read end: the descriptor that it stands for
        self._ends: dict[int, int] = {}
        captured = [_STDERR, *([_STDOUT] if _is_same_terminal() else [])]
        for fd in captured:
            read, write = os.pipe2(os.O_CLOEXEC)
            self._pipes[read] = fd
            self._ends[fd] = write
        self._wake, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="shmflink-output", daemon=True)
        self._thread.start()
        sys.stderr = _text_stream(region, _STDERR, sys.stderr)
        if _STDOUT in self._ends:
            sys.stdout = _text_stream(region, _STDOUT, sys.stdout)

    @property
    def for_processes(self) -> tuple[int | None, int | None]:
        """Descriptors for the standard output and error of other processes; None: they inherit this process's."""
        return self._ends.get(_STDOUT), self._ends.get(_STDERR)

    def drain(self) -> None:
        """Returns when everything written before the call is above the region."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with self._lock:
            for read, fd in self._pipes.items():
                left = _readable_bytes(read)
                while left > 0 and (data := os.read(read, min(left, _READ_BYTES))):
                    self._region.write_above(data, ("processes", fd), fd)
                    left -= len(data)

    def close(self) -> None:
        """Restores the process's own streams."""
        self.drain()
        sys.stdout, sys.stderr = self._before
        os.close(self._wake_write)
        self._thread.join()
        for fd in (self._wake, *self._pipes, *self._ends.values()):
            os.close(fd)

    def _serve(self) -> None:
        poll = select.poll()
        for fd in (self._wake, *self._pipes):
            poll.register(fd, select.POLLIN)
        while all(fd != self._wake for fd, _ in poll.poll()):
            self.drain_pipes()

    def drain_pipes(self) -> None:
        """Reads what is available now."""
        with self._lock:
            for read, fd in self._pipes.items():
                if _readable_bytes(read):
                    self._region.write_above(os.read(read, _READ_BYTES), ("processes", fd), fd)


def _text_stream(region: LiveRegion, fd: int, before: Any) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(_Above(region, fd))
    return io.TextIOWrapper(buffer, encoding=before.encoding, errors=before.errors, line_buffering=True)


def _is_same_terminal() -> bool:
    """Whether standard output and error are the same terminal."""
    try:
        output, error = os.fstat(_STDOUT), os.fstat(_STDERR)
    except OSError:
        return False
    is_terminal = stat.S_ISCHR(output.st_mode) and os.isatty(_STDOUT)
    return sys.stdout is not None and is_terminal and output.st_rdev == error.st_rdev


def _readable_bytes(fd: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))
    return int(count)
