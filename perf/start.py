"""Case `start`: what starting costs, as ratios to `python -c "import pyarrow"`, in turns, in new processes each time.

The minimum of each is compared: what else the machine does makes a process slower, never faster.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from perf.runner import Options, judged

__all__ = ["CASES"]

_TURNS: Final = 15
_PROGRAM: Final = """
from shmflink.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2, 3]).print()
env.execute("three numbers")
"""
_COMMAND: Final = "import sys; from shmflink.cli.entry import main; sys.argv[0] = 'shmflink'; main()"
_IMPORT: Final = "import pyarrow"
_WHAT: Final = {
    "import": ("import shmflink.datastream", 1.3),
    "environment": ("from shmflink.datastream import StreamExecutionEnvironment", 2.5),
    "run": ("shmflink run of three numbers", 2.5),
}


def start(options: Options) -> Iterable[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.py"
        job.write_text(_PROGRAM)
        commands = {
            "pyarrow": ["-c", _IMPORT],
            "import": ["-c", _WHAT["import"][0]],
            "environment": ["-c", _WHAT["environment"][0]],
            "run": ["-c", _COMMAND, "run", str(job)],
        }
        turns = 1 if options.smoke else _TURNS
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(turns):
            for name, words in commands.items():
                seconds[name].append(_seconds(words))
    base = min(seconds["pyarrow"])
    for name, (what, limit) in _WHAT.items():
        best = min(seconds[name])
        yield judged(
            "start",
            best / base,
            f"{what}: at most {limit} x `{_IMPORT}`",
            is_ok=lambda ratio, limit=limit: ratio <= limit,
            smoke=options.smoke,
            seconds=best,
            what=what,
            against=base,
        )


def _seconds(words: list[str]) -> float:
    """Of a whole process, with compiled modules: the first turn writes them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


CASES = {"start": start}
