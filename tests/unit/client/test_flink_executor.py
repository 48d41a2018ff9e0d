"""Jobs on Flink, which is a script here: what it is told, what of its output is shown, how its job ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shmflink.client.executor import use_executor
from shmflink.client.flink_executor import FlinkExecutor, check_options, python_error
from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import JobCancelledError, JobExecutionError, JobGraphError, UsageError

ID = "3b3249f4a0f466d6df5824431fb95132"
TRACE = """\
java.util.concurrent.ExecutionException: Job failed
Caused by: java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/apache_beam/runners/worker/sdk_worker.py", line 311, in _execute
    response = task()
  File "pyflink/fn_execution/beam/beam_operations_fast.pyx", line 177, in process
  File "/home/user/job.py", line 5, in <lambda>
    numbers.map(lambda n: 1 // n)
ZeroDivisionError: integer division or modulo by zero

	at java.base/java.util.concurrent.CompletableFuture.reportGet(CompletableFuture.java:396)
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that runs, instead of a program, the script that a test writes beside it."""
    path = tmp_path / "bin" / "python"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/flink.py "$@"\n')
    path.chmod(0o755)
    return path


def flink(folder: Path, script: str) -> None:
    (folder / "flink.py").write_text(script)


def numbers() -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1, 2], Types.INT()).map(lambda n: n + 1, Types.INT()).print()
    return env


def test_output_is_passed_on_and_the_result_is_flinks(
    python: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flink(
        tmp_path,
        "import sys\nprint('2\\n3')\nprint('log line', file=sys.stderr)\n"
        f"print('Job with JobID {ID} has finished.\\nJob Runtime: 17 ms', file=sys.stderr)\n",
    )
    kept = tmp_path / "kept.py"
    executor = FlinkExecutor({}, str(python), emit=str(kept))
    with use_executor(executor):
        result = numbers().execute("first")
        numbers().execute("second")
    executor.close()
    assert (str(result.get_job_id()), result.get_net_runtime()) == (ID, 17)
    assert capfd.readouterr() == ("2\n3\n2\n3\n", "")
    assert "return env.execute('first')" in kept.read_text()
    assert "return env.execute('second')" in (tmp_path / "kept-2.py").read_text()


def test_a_failed_job_shows_the_functions_error(python: Path, tmp_path: Path) -> None:
    flink(tmp_path, f"import sys\nsys.stderr.write({TRACE!r})\nsys.exit(1)\n")
    executor = FlinkExecutor({}, str(python))
    with use_executor(executor), pytest.raises(JobExecutionError) as failed:
        numbers().execute()
    executor.close()
    assert str(failed.value) == (
        "the job failed on Flink:\nTraceback (most recent call last):\n"
        '  File "/home/user/job.py", line 5, in <lambda>\n    numbers.map(lambda n: 1 // n)\n'
        "ZeroDivisionError: integer division or modulo by zero"
    )


def test_without_an_error_of_python_the_output_is_shown(python: Path, tmp_path: Path) -> None:
    flink(tmp_path, "import sys\nsys.exit('no slot is available')\n")
    executor = FlinkExecutor({}, str(python))
    with use_executor(executor), pytest.raises(JobExecutionError, match="exit code 1; it said:\nno slot is available"):
        numbers().execute()
    executor.close()


def test_a_canceled_job_takes_its_processes_with_it(python: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    flink(tmp_path, f"import signal\nopen({str(pipe)!r}, 'w').write('up')\nsignal.pause()\n")
    executor = FlinkExecutor({}, str(python))
    with use_executor(executor):
        client = numbers().execute_async()
        assert pipe.read_text() == "up"
        client.cancel().result()
        with pytest.raises(JobCancelledError):
            client.get_job_execution_result().result()
    executor.close()


OWNER = """
import sys
from shmflink.client.executor import use_executor
from shmflink.client.flink_executor import FlinkExecutor
from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment

with use_executor(FlinkExecutor({}, sys.argv[1])):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1], Types.INT()).print()
    env.execute()
"""


def test_flink_ends_with_a_program_that_is_killed(python: Path, tmp_path: Path) -> None:
    pipe, scratch = tmp_path / "pipe", tmp_path / "scratch"
    os.mkfifo(pipe)
    scratch.mkdir()
    flink(tmp_path, f"import signal\nfile = open({str(pipe)!r}, 'w')\nfile.write('up')\nfile.flush()\nsignal.pause()\n")
    environment = {**os.environ, "TMPDIR": str(scratch)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(python)], env=environment)
    with pipe.open() as read:
        assert read.read(2) == "up"
        assert len(list(scratch.iterdir())) == 1
        owner.kill()
        owner.wait()
        assert read.read() == ""  # Flink, which had it open, is gone
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("key", ["execution.state-recovery.path", "python.requirements", "python.archives"])
def test_options_that_flink_would_not_follow_are_refused(key: str) -> None:
    with pytest.raises(UsageError, match=f"{key} with execution.target FLINK"):
        check_options({key: "there"})
    check_options({"execution.shutdown-on-attached-exit": "true", "flink.address": "host:8081"})
    with pytest.raises(UsageError, match="-sae"):
        check_options({"execution.shutdown-on-attached-exit": "true"})


def test_what_flink_cannot_run_is_refused_before_anything_starts(python: Path, tmp_path: Path) -> None:
    flink(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1]).map_batches(len).print()
    executor = FlinkExecutor({}, str(python))
    with use_executor(executor), pytest.raises(JobGraphError, match=r"map_batches\(\) is shmflink only"):
        env.execute()
    executor.close()
    assert not (tmp_path / "ran").exists()


def test_the_error_of_the_job_not_that_of_the_program_which_waits_for_it() -> None:
    waits = 'Traceback (most recent call last):\n  File "/tmp/job.py", line 9, in main\npy4j.protocol.Py4JJavaError:\n'
    assert python_error(waits) == ""
    assert python_error(waits + TRACE).endswith("ZeroDivisionError: integer division or modulo by zero")
