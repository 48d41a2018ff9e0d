"""[P1] [P6] [P14] [P15] [E1] [E2] [E3] [E4] A few seeded kills; `python -m tests.chaos` is the long form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = 20_261_121


@pytest.mark.xdist_group("chaos")
def test_killed_jobs_have_the_output_of_undisturbed_ones(tmp_path: Path) -> None:
    """In a process of its own: what a job leaves behind becomes that one's child."""
    command = [sys.executable, "-m", "tests.chaos", "--kills", "8", "--seed", str(SEED), "--folder", str(tmp_path)]
    command += ["--jobs", "word_count_short", "--kinds", "taskmanager,twice,jobmanager,stopped"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 runs with problems" in done.stdout
