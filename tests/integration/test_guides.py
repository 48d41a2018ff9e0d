"""examples/guides: the code that they show runs, and the generated pages match the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shmflink.expressions as expressions
from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.testing import MiniCluster
from tests.tidy.guides import GUIDES, PAGES

GUIDE = GUIDES / "coming_from.md"
ROWS = pa.table(
    {
        "user": ["a", "b", "a"],
        "price": [1.0, 2.0, 3.0],
        "n": [1, 2, 3],
        "tags": [["x"], [], ["y", "z"]],
        "time": pa.array([0, 1, 2], pa.timestamp("ms")),
    }
)


def shown() -> list[str]:
    """The code of the last column of every table."""
    rows = [line.strip("| ").split(" | ") for line in GUIDE.read_text().splitlines() if line.startswith("|")]
    return [code for row in rows if len(row) == 2 for code in re.findall(r"`(stream\.[^`]*)`", row[1])]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (GUIDES / name).read_text() == PAGES[name](), "run `python -m tests.tidy.guides` and commit what it writes"


def test_there_is_much_to_try() -> None:
    assert len(shown()) > 20


@pytest.mark.parametrize("code", shown())
def test_what_is_shown_can_be_written(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if re.search(r"\.to_\w+\(\)", code):
        return  # that runs a job; the README's tests do
    env = StreamExecutionEnvironment.get_execution_environment()
    names: dict[str, Any] = {name: getattr(expressions, name) for name in ("col", "lit", "count")}
    assert eval(code, {**names, "Types": Types, "FileSink": FileSink, "stream": env.from_arrow(ROWS)}) is not None


def test_the_smallest_connectors_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, files in (("a", 3), ("b", 0)):
        (tmp_path / folder).mkdir()
        for n in range(files):
            (tmp_path / folder / str(n)).touch()
    [program] = re.findall(r"```python\n(.*?)```", (GUIDES / "own_connectors.md").read_text(), re.DOTALL)
    with MiniCluster(slots=2):
        exec(program, {"__name__": "own_connectors"})
    lines = sorted((tmp_path / "log.json").read_text().splitlines())
    assert lines == ['{"folder": "a", "files": 3}', '{"folder": "b", "files": 0}']
