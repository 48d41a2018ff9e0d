"""What functions log: in the program's own format, at its levels, in its files; with -v also without configuration."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PYTHON = [sys.executable]
SHMFLINK = [sys.executable, "-c", "from shmflink.cli.entry import main; main()", "run"]
JOB = """
    import logging
    import sys

    from shmflink.datastream import StreamExecutionEnvironment

    {configuration}
    log = logging.getLogger("job")

    def seen(x):
        log.info("seen %s", x)
        log.debug("not wanted")
        logging.getLogger("detail").debug("wanted %s", x)
        if x == 3:
            try:
                1 // 0
            except ZeroDivisionError:
                log.exception("failed on %s", x)
        return x

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.from_collection([1, 2, 3]).map(seen).print()
    env.execute()
    log.info("after the job")
"""


def _run(command: list[str], folder: Path, configuration: str) -> subprocess.CompletedProcess[str]:
    path = folder / "job.py"
    path.write_text(textwrap.dedent(JOB).replace("{configuration}", configuration))
    return subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=240, cwd=folder)


BASIC = 'logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")'
EXPECTED = ["INFO job seen 1", "INFO job seen 2", "INFO job seen 3", "ERROR job failed on 3"]


@pytest.mark.parametrize("command", [PYTHON, SHMFLINK, [*SHMFLINK, "-v"]], ids=["python", "run", "run -v"])
def test_functions_log_in_the_format_of_the_program_before_the_job_is_over(tmp_path, command):
    done = _run(command, tmp_path, BASIC)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    logged = [line for line in lines if line.startswith(("INFO job", "ERROR job"))]
    assert logged == [*EXPECTED, "INFO job after the job"]
    assert "ZeroDivisionError: integer division or modulo by zero" in lines
    assert "wanted" not in done.stderr


def test_levels_of_single_loggers_and_files_of_the_program_hold_in_functions(tmp_path):
    done = _run(
        PYTHON,
        tmp_path,
        'logging.basicConfig(level=logging.INFO, filename="job.log", format="%(processName)s %(message)s")\n'
        'logging.getLogger("detail").setLevel(logging.DEBUG)\n'
        'logging.getLogger("job").setLevel(logging.ERROR)',
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "job.log").read_text().splitlines()
    expected = ["TaskManager 0 wanted 1", "TaskManager 0 wanted 2", "TaskManager 0 wanted 3"]
    told = [line.replace("TaskManager 1", "TaskManager 0") for line in lines if line.startswith("TaskManager")]
    assert told == [*expected, "TaskManager 0 failed on 3"]


def test_without_configuration_warnings_come_as_python_shows_them(tmp_path):
    done = _run(PYTHON, tmp_path, "")
    assert done.stderr.splitlines()[0] == "failed on 3"
    assert "seen 1" not in done.stderr


def test_verbose_shows_what_functions_log(tmp_path):
    done = _run([*SHMFLINK, "-v"], tmp_path, "")
    assert " INFO    job: seen 1\n" in done.stderr
    assert "not wanted" not in done.stderr
