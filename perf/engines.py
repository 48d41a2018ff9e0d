"""One run of one case by one engine, ours or another, in a fresh process; which engines there are here."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perf.process_tree import TreeUsage
from perf.runner import run_process, shmflink
from shmflink.client import flink_environment

__all__ = ["ENGINES", "OURS", "SLOTS", "Measured", "missing", "run_ours", "run_peer"]

OURS: Final = "shmflink"
ENGINES: Final = ("duckdb", "polars", "pyarrow", "flink")
SLOTS: Final = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `seconds` is the query or the job alone, `startup_s` what comes before, `wall_s` the whole process.

    `query_cpu_s` is what the query or the TaskManagers took, `cpu_s` all of it; the first is None of Flink.
    """

    version: str
    seconds: float
    startup_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    tree: TreeUsage
    warm_s: float | None = None
    query_cpu_s: float | None = None


def missing(engine: str) -> str | None:
    """Why an engine cannot run here, and what to do; None where it can."""
    if engine == "flink":
        return flink_environment.missing()
    if importlib.util.find_spec(engine) is None:
        return "not installed: pip install 'shmflink[bench]'"
    return None


def run_ours(job: str, arguments: Sequence[str], slots: int = SLOTS) -> Measured:
    """`shmflink run` in BATCH mode. Its `seconds` are the job's, as its summary says them."""
    settings = ("execution.runtime-mode=BATCH",)
    done = shmflink(job, slots, *arguments, settings=settings, is_watched=True)
    startup_s = done.wall_s - done.job_s
    tree = done.tree
    return Measured(
        "", done.job_s, startup_s, done.wall_s, done.cpu_s, tree.peak_mb, tree, query_cpu_s=tree.forked_cpu_s
    )


def run_peer(engine: str, query: str, inputs: Path, output: Path, *, is_warm: bool = False) -> Measured:
    """`perf.peers.run` in the engine's environment."""
    python = str(flink_environment.find_python()) if engine == "flink" else sys.executable
    with tempfile.TemporaryDirectory(prefix="shmflink-perf-") as folder:
        result = os.path.join(folder, "result.json")
        command = [python, "-m", "perf.peers.run", engine, query, str(inputs), str(output), result]
        done = run_process([*command, "warm"] if is_warm else command, is_watched=True)
        with open(result, encoding="utf-8") as file:
            said = json.load(file)
    return Measured(
        said["version"],
        said["seconds"],
        said["startup_s"],
        done.wall_s,
        done.cpu_s,
        done.tree.peak_mb,
        done.tree,
        said.get("warm_s"),
        said.get("query_cpu_s"),
    )
