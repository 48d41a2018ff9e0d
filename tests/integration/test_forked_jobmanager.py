"""The JobManager of `shmflink run` is a fork with its own lifetime, environment and name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()", "run"]

BLAS = """
    import ctypes, json, os, sys
    import numpy, pyarrow

    def blas_threads():
        with open("/proc/self/maps") as maps:
            paths = {line.split()[-1] for line in maps if "openblas" in line}
        for path in paths:
            library = ctypes.CDLL(path)
            for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("", "")):
                name = f"{prefix}openblas_get_num_threads{suffix}"
                if hasattr(library, name):
                    return library[name]()
        return None

    def about(_=None):
        with open("/proc/self/cmdline", "rb") as file:
            words = file.read().rstrip(b"\\0").split(b"\\0")
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
            parent = file.read().rstrip(b"\\0").split(b"\\0")
        return json.dumps({
            "blas": blas_threads(),
            "pool": pyarrow.default_memory_pool().backend_name,
            "environment": dict(os.environ),
            "words": [word.decode() for word in words],
            "parent": [word.decode() for word in parent],
            "path": sys.path[:1],
            "main": sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__")),
            "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                                  if os.path.exists(f"/proc/self/fd/{fd}")),
            "session": os.getsid(0),
        })
"""

JOB = (
    BLAS
    + """
    from shmflink.datastream import StreamExecutionEnvironment

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    print(about())
    print(*env.from_collection([1]).map(about).execute_and_collect())
"""
)


def run(tmp_path: Path, **environment: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program and its task say of their processes. The cluster holds no pipe that the command inherited."""
    file = tmp_path / "job.py"
    file.write_text(textwrap.dedent(JOB))
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb") as inherited:
        name = os.readlink(f"/proc/self/fd/{inherited.fileno()}")
        done = subprocess.run(
            [*COMMAND, str(file)],
            env={**os.environ, **environment},
            pass_fds=[inherited.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    program, task = map(json.loads, done.stdout.splitlines())
    assert name in program["descriptors"]
    assert name not in task["descriptors"]
    return program, task


def test_tasks_have_one_thread_of_blas_and_the_program_has_its_own(tmp_path: Path) -> None:
    program, task = run(tmp_path)
    if program["blas"] is not None:
        assert (program["blas"], task["blas"]) == (len(os.sched_getaffinity(0)), 1)
    assert program["pool"] == task["pool"]


def test_the_programs_own_number_of_threads_stays(tmp_path: Path) -> None:
    program, task = run(tmp_path, OPENBLAS_NUM_THREADS="3")
    if program["blas"] is not None:
        assert (program["blas"], task["blas"]) == (3, 1)
    assert program["environment"]["OPENBLAS_NUM_THREADS"] == "3"


def test_the_environment_of_the_program_is_what_it_was_given(tmp_path: Path) -> None:
    program, task = run(tmp_path)
    ours = {"OPENBLAS_NUM_THREADS", "OPENBLAS_THREAD_TIMEOUT", "ARROW_DEFAULT_MEMORY_POOL", "JE_ARROW_MALLOC_CONF"}
    assert ours & set(program["environment"]) == ours & set(os.environ)
    assert task["environment"]["OMP_NUM_THREADS"] == "1"
    assert task["environment"]["JE_ARROW_MALLOC_CONF"] == "background_thread:false"
    assert "OPENBLAS_THREAD_TIMEOUT" not in set(task["environment"]) - set(os.environ)


def test_a_name_and_a_session_of_its_own(tmp_path: Path) -> None:
    """A signal for the command does not reach the cluster."""
    program, task = run(tmp_path)
    assert program["words"][-1].endswith("job.py")
    assert task["words"] == task["parent"] == ["shmflink-jobmanager"]
    assert task["session"] != program["session"]
    assert task["main"] == []


LOCAL = "shmflink.operators.aggregates.local"
WORDS = "# shmflink.expressions, shmflink.datastream.connectors.file_system: FileSource and FileSink of parquet, csv\n"
IMPORTED = f"""
import sys
from shmflink.datastream import StreamExecutionEnvironment

def about(_):
    with open("/proc/self/status") as status:
        parent = next(line.split()[1] for line in status if line.startswith("PPid"))
    with open(f"/proc/{{parent}}/cmdline") as words:
        return words.read().startswith("shmflink-jobmanager"), "{LOCAL}" in sys.modules

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
print(*env.from_collection([1]).map(about).execute_and_collect())
"""


def test_what_the_program_promises_to_use_tasks_have_before_they_are_forked(tmp_path: Path) -> None:
    """Without a thread in the parent of the fork, which would have had to start a fresh interpreter."""
    assert printed(tmp_path, IMPORTED) == "(True, False)"
    assert printed(tmp_path, WORDS + IMPORTED) == "(True, True)"


def test_a_program_without_the_command_names_what_it_has_imported(tmp_path: Path) -> None:
    program = f"import {LOCAL}\n" + IMPORTED
    assert printed(tmp_path, IMPORTED, [sys.executable]) == "(False, False)"
    assert printed(tmp_path, program, [sys.executable]) == "(False, True)"


def printed(tmp_path: Path, program: str, command: list[str] = COMMAND) -> str:
    file = tmp_path / "job.py"
    file.write_text(program)
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
