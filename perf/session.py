"""Case `session`: a warm session cluster. From the submission of a job to its first row; and whether the JobManager's
memory, descriptors and threads stay as they are while short jobs come and go, twenty at once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from perf.runner import Options, judged
from shmflink.client.executor import use_executor
from shmflink.client.session_cluster import SessionCluster, find_session
from shmflink.datastream import StreamExecutionEnvironment

__all__ = ["CASES"]

_NAME: Final = "perf"
_SLOTS: Final = 4
_COMMAND: Final = "import sys; from shmflink.cli.entry import main; sys.argv[0] = 'shmflink'; main()"
_FIRST_ROW_S: Final = 0.150
_TURNS: Final = 21
_JOBS: Final = 1000
_WARM: Final = 100  # jobs after which nothing may grow
_AT_ONCE: Final = 20
_GROWTH_MAX: Final = 1.1


def session(options: Options) -> Iterable[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "XDG_STATE_HOME": folder}
        Path(folder).chmod(0o700)
        _command(environment, "start-cluster", "--slots", str(_SLOTS), "-m", _NAME)
        try:
            cluster = SessionCluster({}, find_session(_NAME, environment))
            with use_executor(cluster):
                yield _first_row(options)
            yield from _flatness(options, cluster)
            cluster.close()
        finally:
            _command(environment, "stop-cluster", "-m", _NAME)


def _command(environment: dict[str, str], *words: str) -> None:
    subprocess.run([sys.executable, "-c", _COMMAND, *words], env=environment, stdout=subprocess.DEVNULL, check=True)


def _first_row(options: Options) -> dict[str, Any]:
    seconds = []
    for _ in range(3 if options.smoke else _TURNS):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1)
        stream = env.from_collection([1, 2, 3]).map(lambda n: n + 1)
        began = time.perf_counter()
        with stream.execute_and_collect() as rows:
            next(rows)
            seconds.append(time.perf_counter() - began)
    return judged(
        "session",
        statistics.median(seconds),
        f"s from submission to the first row, median; at most {_FIRST_ROW_S}",
        is_ok=lambda found: found <= _FIRST_ROW_S,
        smoke=options.smoke,
    )


def _flatness(options: Options, cluster: SessionCluster) -> Iterable[dict[str, Any]]:
    warm, jobs = (2, 4) if options.smoke else (_WARM, _JOBS)

    def job(number: int) -> None:
        with use_executor(cluster):
            env = StreamExecutionEnvironment.get_execution_environment()
            env.set_parallelism(1)
            env.from_collection([number]).filter(lambda n: n < 0).print()
            env.execute(f"short {number}")

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(job, range(warm)))
        before = _looked(cluster.pid)
        list(threads.map(job, range(warm, jobs)))
        after = _looked(cluster.pid)
    for what, was in before.items():
        yield judged(
            "session",
            after[what] / was,
            f"JobManager's {what} after {jobs} jobs, {_AT_ONCE} at once, to those after {warm}; at most {_GROWTH_MAX}",
            is_ok=lambda found: found <= _GROWTH_MAX,
            smoke=options.smoke,
            before=was,
            after=after[what],
        )


def _looked(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        "memory in KB": int(status["VmRSS"].split()[0]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
    }


CASES = {"session": session}
