"""CPU and memory of a process and its children."""

from __future__ import annotations

import subprocess
import sys

from perf.process_tree import ProcessTree

WATCHDOG_SECONDS = 60


def test_a_childs_memory_and_cpu_count() -> None:
    child = "memory = bytes([1]) * (64 << 20)\nfor _ in range(3_000_000): pass\nprint(flush=True)\ninput()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    tree = ProcessTree(process.pid)
    assert process.stdout is not None
    process.stdout.readline()
    tree.wait_for_a_look()
    usage = tree.stop()
    process.communicate(b"\n", timeout=WATCHDOG_SECONDS)
    assert 64 < usage.peak_mb < 200
    assert usage.cpu_s > 0.0
