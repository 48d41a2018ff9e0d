"""[P4] The kernel's out-of-memory killer under the memory limit of a separate cgroup, as in systemd units."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT_BYTES = 600 << 20
PROGRAM = """
from shmflink.datastream import StreamExecutionEnvironment

kept = []


def eat(number):
    kept.append(bytearray(64 << 20))
    return number


env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection(list(range(1000))).map(eat).print()
env.execute("eater")
"""
RESTARTS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100",
    "restart-strategy.fixed-delay.delay": "10 ms",
}


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A memory cgroup with a limit, of either version; skipped where none can be made."""
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        folder = Path(root) / f"shmflink-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            try:
                (folder / limit).write_text(str(LIMIT_BYTES))
                with contextlib.suppress(OSError):  # swap would only make it slow
                    (folder / "memory.swap.max").write_text("0")
            except OSError:
                folder.rmdir()
                continue
            yield folder
            with contextlib.suppress(OSError):
                folder.rmdir()
            return
    pytest.skip("no memory cgroup can be made here: that takes root and a cgroup file system that can be written")


def test_a_job_that_eats_its_memory_is_given_up_after_three_kills(cgroup: Path, tmp_path: Path) -> None:
    job = tmp_path / "eater.py"
    job.write_text(PROGRAM)
    options = [part for key, value in RESTARTS.items() for part in ("-D", f"{key}={value}")]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("shmflink")), "run", "--slots", "1", *options, str(job)],
        capture_output=True,
        text=True,
        timeout=200,
        preexec_fn=lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid())),
    )
    assert done.returncode == 1
    assert "by the kernel, out of memory" in done.stderr
    assert "has killed TaskManagers of the job for memory 3 times in 10 minutes, so it does not restart" in done.stderr
