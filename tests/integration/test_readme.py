"""Runs the code and the commands that the README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SHMFLINK = Path(sys.executable).with_name("shmflink")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def run(program: str, folder: Path) -> list[str]:
    path = folder / "job.py"
    path.write_text(program)
    command = [SHMFLINK, "run", path, "--slots", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=folder)
    return done.stdout.splitlines()


def test_the_program_on_columns_totals_purchases(tmp_path: Path) -> None:
    times = pa.array([1_000, 9_000, 12_000, 3_000], pa.timestamp("ms"))
    events = pa.table({"time": times, "user": ["ann", "ann", "ann", "bob"], "price": [1.0, 2.0, 4.0, -1.0]})
    (tmp_path / "events").mkdir()
    pq.write_table(events, tmp_path / "events" / "events.parquet")
    run(blocks("python")[0], tmp_path)
    totals = pq.read_table(tmp_path / "totals").sort_by("bucket").to_pylist()
    rows = [(row["user"], row["purchases"], row["total"], row["highest"]) for row in totals]
    assert rows == [("ann", 2, 3.0, 2.0), ("ann", 1, 4.0, 4.0)]


def test_the_program_on_records_finds_sessions(tmp_path: Path) -> None:
    lines = run(blocks("python")[1], tmp_path)
    assert sorted(line.split("> ")[1] for line in lines) == ["(ann,1,90000)", "(ann,2,0)", "(bob,1,5000)"]


def test_the_drawn_plan_is_what_info_prints() -> None:
    drawn = next(block for block in blocks("text") if block.startswith("word count"))
    done = subprocess.run(
        [SHMFLINK, "info", "examples/word_count.py", "--slots", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ROOT,
    )
    assert drawn.strip() in done.stdout


def test_the_commands_are_the_first_two_shell_blocks() -> None:
    install_and_run, install_and_test = blocks("sh")[:2]
    assert "shmflink run examples/word_count.py" in install_and_run
    assert "pytest" in install_and_test
