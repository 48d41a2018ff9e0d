"""The content of the terminal: the region at the bottom, everything else above it, and nothing overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TextIO

import pytest
from rich.console import Console
from rich.text import Text

from shmflink.cli.live_region import LiveRegion

_ESCAPE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


def screen(written: str) -> list[str]:
    """The lines as a terminal without an upper end shows them."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[\d*[A-Za-z]|\n)", written.replace("\r\n", "\n")):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif found := _ESCAPE.fullmatch(part):
            if found[2] == "F":
                row -= int(found[1])
            elif found[2] == "J":
                lines[row:] = [""]
        else:
            lines[row] += part
    return lines


class Terminal:
    """A region on a file, which may be read as a terminal shows it."""

    def __init__(self, file: TextIO) -> None:
        console = Console(file=file, width=40, height=10)
        self._file = file
        self.region = LiveRegion(console, file.fileno())

    def write(self, text: str, source: object = "job") -> None:
        self.region.write_above(text.encode(), source, self._file.fileno())

    @property
    def lines(self) -> list[str]:
        return screen(os.pread(self._file.fileno(), 1 << 20, 0).decode())


@pytest.fixture
def terminal(tmp_path) -> Iterator[Terminal]:
    with open(tmp_path / "terminal", "w+") as file:
        yield Terminal(file)


def test_lines_go_above_and_the_region_stays_below(terminal):
    terminal.write("before\n")
    terminal.region.show(Text("one row\nbusy"))
    terminal.write("printed 1\nprinted 2\n")
    terminal.region.show(Text("two rows\nbusy\nidle"))
    terminal.write("printed 3\n")
    assert terminal.lines == ["before", "printed 1", "printed 2", "printed 3", "two rows", "busy", "idle", ""]
    terminal.region.hide()
    assert terminal.lines == ["before", "printed 1", "printed 2", "printed 3", ""]


def test_a_line_in_pieces_stands_there_when_it_is_whole(terminal):
    terminal.region.show(Text("region"))
    terminal.write("a", "one")
    terminal.write("b", "two")
    assert terminal.lines == ["region", ""]
    terminal.write("a\n", "one")
    assert terminal.lines == ["aa", "region", ""]
    terminal.region.hide()
    assert terminal.lines == ["aa", "b"], "nothing is lost at the end"


def test_an_open_line_is_not_continued_by_the_region(terminal):
    terminal.write("prompt> ")
    terminal.region.show(Text("region"))
    assert terminal.lines == ["prompt> ", "region", ""]


def test_a_picture_is_cut_to_the_terminal(terminal):
    terminal.region.show(Text("\n".join(str(i) for i in range(30))))
    assert terminal.lines == [*(str(i) for i in range(9)), ""]


def test_a_line_without_end_does_not_grow_without_limit(terminal):
    terminal.region.show(Text("region"))
    terminal.write("x" * 100_000)
    assert terminal.lines == ["x" * 100_000, "region", ""]
