"""A job of this release starts from a savepoint of the first release, pickled state included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()"]
FOLDER = Path(__file__).parent / "older_release"
WAIT_S = 120
ROWS, KEYS = 20_000, 7
SAVED = 3_200
"""Rows that the older job had printed when it was stopped."""


@pytest.fixture
def savepoint(tmp_path: Path) -> Path:
    """As the older release made it, which a repository does not keep: nobody else may write to it."""
    path = tmp_path / "savepoint"
    path.mkdir(0o700)
    shutil.copyfile(FOLDER / "_metadata", path / "_metadata")
    (path / "_metadata").chmod(0o600)
    return path


def run(savepoint: Path, job: Path, *words: str) -> subprocess.CompletedProcess[str]:
    runtime = savepoint.parent / "runtime"
    runtime.mkdir(0o700, exist_ok=True)
    return subprocess.run(
        [*COMMAND, "run", "--slots", "1", "-s", str(savepoint), *words, str(job)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        timeout=WAIT_S,
        check=False,
    )


def test_the_job_goes_on_where_the_older_release_stopped_it(savepoint: Path) -> None:
    done = run(savepoint, FOLDER / "job.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{number} {number // KEYS + 1}" for number in range(SAVED, ROWS)]


def test_another_kind_of_source_under_the_same_uid_is_refused(savepoint: Path, tmp_path: Path) -> None:
    """The older release did not write down which kind it was."""
    job = tmp_path / "job.py"
    text = (FOLDER / "job.py").read_text()
    source = "env.from_collection(list(range(9)), Types.LONG())"
    changed = text.replace("env.generate(rows, 20_000, batch_rows=100)", source).replace("row.n", "row")
    assert source in changed
    job.write_text(changed)
    done = run(savepoint, job)
    assert done.returncode == 1
    assert "AttributeError" not in done.stderr
    assert "a CollectionSource, cannot" in done.stderr
    assert "give this one another uid and drop the state (--allow-non-restored-state)" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="gives a folder to another user")
def test_pickled_state_of_another_user_has_to_be_asked_for(savepoint: Path) -> None:
    os.chown(savepoint, 4711, 4711)
    os.chown(savepoint / "_metadata", 4711, 4711)
    refused = run(savepoint, FOLDER / "job.py")
    assert refused.returncode == 1
    assert "belongs to user 4711, but user 0 runs this" in refused.stderr
    assert "--trust-pickled-state" in refused.stderr
    assert refused.stdout == ""
    done = run(savepoint, FOLDER / "job.py", "--trust-pickled-state")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == ROWS - SAVED


def test_a_savepoint_that_others_may_write_to_is_refused(savepoint: Path) -> None:
    savepoint.chmod(0o777)
    refused = run(savepoint, FOLDER / "job.py", "--trust-pickled-state")
    assert refused.returncode == 1
    assert "is writable by others" in refused.stderr
    assert "chmod go-w" in refused.stderr
