"""PyFlink's own examples, unchanged, print with `shmflink run --pyflink` what they print on Flink.

Their text is not in this repository. They are taken from an installed `apache-flink`, or from the folder that
SHMFLINK_PYFLINK_EXAMPLES names; expected/pyflink_examples has the lines that Flink 2.3 printed, sorted, without the
number of the subtask in front and without log lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent / "expected" / "pyflink_examples"
FOLDER_VARIABLE = "SHMFLINK_PYFLINK_EXAMPLES"
EXAMPLES = (
    "word_count.py",
    "basic_operations.py",
    "state_access.py",
    "event_time_timer.py",
    "process_json_data.py",
    "windowing/tumbling_time_window.py",
    "windowing/tumbling_count_window.py",
    "windowing/sliding_time_window.py",
    "windowing/session_with_gap_window.py",
    "windowing/session_with_dynamic_gap_window.py",
)
SAID_BEFORE = ("Executing word_count", "Use --input", "Printing result to stdout")
TIMEOUT_SECONDS = 120
SHMFLINK = (sys.executable, "-c", "from shmflink.cli.entry import main; main()")


def folder() -> Path | None:
    """Where the examples are; None where they are not."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    spec = find_spec("pyflink")
    found = Path(spec.origin).parent / "examples" / "datastream" if spec is not None and spec.origin else None
    return found if found is not None and found.is_dir() else None


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_pyflink_prints_what_it_prints_on_flink(example: str, tmp_path: Path) -> None:
    examples = folder()
    if examples is None:
        pytest.skip(
            "no examples of PyFlink: install apache-flink, or `pip download --no-deps apache-flink`, unpack it "
            f"and name its folder pyflink/examples/datastream in {FOLDER_VARIABLE}"
        )
    program = examples / example
    done = subprocess.run(
        [*SHMFLINK, "run", "--pyflink", str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith(SAID_BEFORE)]
    assert sorted(re.sub(r"^\d+> ", "", line) for line in lines) == expected(program.stem)


def expected(name: str) -> list[str]:
    return (EXPECTED / f"{name}.txt").read_text().splitlines()


def test_every_example_has_its_lines() -> None:
    assert {path.stem for path in EXPECTED.iterdir()} == {Path(example).stem for example in EXAMPLES}
    assert all(expected(Path(example).stem) for example in EXAMPLES)
