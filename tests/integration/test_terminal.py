"""`shmflink run` on a terminal: all output appears above the live view, and nothing is overwritten."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import textwrap
from contextlib import closing
from pathlib import Path

SHMFLINK = [sys.executable, "-c", "from shmflink.cli.entry import main; main()", "run"]
COLUMNS = 80
EXPECTED = {"before", "while it runs", "function 1", "error stream 1", "logged: record 1"}
JOB = """
    import logging
    import sys
    from shmflink.datastream import StreamExecutionEnvironment

    logging.basicConfig(level=logging.INFO, format="logged: %(message)s")

    def seen(x):
        print("function", x)
        logging.getLogger("job").info("record %s", x)
        sys.stderr.write(f"error stream {x}\\n")
        with open(sys.argv[1] if len(sys.argv) > 1 else FIFO) as go:
            go.read()
        return x

    FIFO = FIFO_HERE
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.from_collection(list(range(60))).print()
    env.from_collection([1]).map(seen).print("mapped")
    print("before")
    client = env.execute_async("sixty")
    print("while it runs")
    client.get_job_execution_result().result()
    print("after")
"""


def screen(written: str) -> list[str]:
    """The lines as a terminal without an upper end shows them, without colors."""
    lines, row = [""], 0
    plain = re.sub(r"\x1b\[[0-9;?]*[mhl]", "", written.replace("\r\n", "\n"))
    for part in re.split(r"(\x1b\[\d*[A-Za-z]|\n)", plain):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("F") and part.startswith("\x1b"):
            row -= int(part[2:-1])
        elif part == "\x1b[0J":
            lines[row:] = [""]
        else:
            lines[row] += part
    return lines


class Terminal:
    """A terminal and what runs on it."""

    def __init__(self, command: list[str], **streams: int) -> None:
        self._primary, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        given = {"stdin": secondary, "stdout": secondary, "stderr": secondary} | streams
        env = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(command, env=env, start_new_session=True, **given)
        os.close(secondary)
        self._shown = b""
        self._poll = select.poll()
        self._poll.register(self._primary, select.POLLIN | select.POLLHUP)

    def until(self, text: str | None) -> list[str]:
        """What stands there as soon as `text` does, or at the end."""
        while text is None or text not in "\n".join(self.lines):
            assert self._poll.poll(120_000), self.lines
            try:
                data = os.read(self._primary, 1 << 16)
            except OSError:  # the terminal has no writer left
                assert text is None, self.lines
                break
            self._shown += data
        return self.lines

    @property
    def lines(self) -> list[str]:
        return screen(self._shown.decode())

    def exit_code(self) -> int:
        return self.process.wait(120)

    def close(self) -> None:
        """Whatever still runs ends with the test."""
        os.close(self._primary)
        self.process.kill()
        self.process.wait()


def test_every_line_that_anybody_prints_stands_above_the_picture(tmp_path: Path) -> None:
    fifo, job = tmp_path / "fifo", tmp_path / "job.py"
    os.mkfifo(fifo)
    job.write_text(textwrap.dedent(JOB).replace("FIFO_HERE", repr(str(fifo))))
    with closing(Terminal([*SHMFLINK, "--slots", "2", str(job)])) as terminal:
        for line in EXPECTED:  # they come by several ways, in any order
            terminal.until(line)
        running = terminal.until("Back-")
        _check_running(running)
        fifo.write_text("go")
        lines = terminal.until(None)
        assert terminal.exit_code() == 0
    _check_end(lines)


def _check_running(running: list[str]) -> None:
    assert running[-1] == "", "the cursor is below the picture"
    head = next(i for i, line in enumerate(running) if "rows read" in line)
    assert set(running[:head]) >= EXPECTED
    assert max(map(len, running[head:])) <= COLUMNS


def _check_end(lines: list[str]) -> None:
    table = next(i for i, line in enumerate(lines) if line.startswith("finished in "))
    numbers = [int(line) for line in lines[:table] if line.isdigit()]
    assert sorted(numbers) == list(range(60)), "what was printed before the end stands above its summary"
    assert "mapped> 1" in lines[:table]
    assert set(lines[:table]) >= EXPECTED
    assert lines.index("after") > table
    assert sum("rows read" in line for line in lines) == 1, "the picture is gone"


def test_standard_output_in_a_file_holds_what_the_job_prints_and_nothing_else(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        textwrap.dedent(
            """
            from shmflink.datastream import StreamExecutionEnvironment
            env = StreamExecutionEnvironment.get_execution_environment()
            env.set_parallelism(1)
            env.from_collection(list(range(60))).print()
            env.execute("sixty")
            """
        )
    )
    with (
        open(tmp_path / "out", "w") as out,
        closing(Terminal([*SHMFLINK, str(job)], stdout=out.fileno())) as terminal,
    ):
        lines = terminal.until(None)
        assert terminal.exit_code() == 0
    assert sorted(map(int, (tmp_path / "out").read_text().split())) == list(range(60))
    assert any(line.startswith("finished in ") for line in lines)
