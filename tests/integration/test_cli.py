"""`shmflink` as a user calls it: arguments, output, exit codes, signals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import orjson
import pytest

COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()"]
JOB = """
    from shmflink.datastream import StreamExecutionEnvironment
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1, 2, 3]).map(lambda v: 6 // v).print()
    env.execute("divide")
"""
BLOCKED = """
    import sys, time
    from shmflink.datastream import StreamExecutionEnvironment

    def block(value):
        with open(sys.argv[1] if len(sys.argv) > 1 else FIFO, "w") as file:
            file.write("x")
        while True:
            time.sleep(0.01)

    FIFO = {fifo!r}
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1]).map(lambda v: block(v)).print()
    env.execute("blocked")
"""


def _write(path: Path, text: str) -> str:
    path.write_text(textwrap.dedent(text))
    return str(path)


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env)


def test_a_job_runs_and_says_so_as_flink_does(tmp_path):
    done = _run("run", _write(tmp_path / "job.py", JOB), "--slots", "1")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["2", "3", "6"]
    said = done.stderr.splitlines()
    assert said[0].startswith("Job has been submitted with JobID ")
    job_id = said[0].split()[-1]
    assert said[1] == f"Job with JobID {job_id} has finished."
    assert said[2].startswith("Job Runtime: ")
    assert said[2].endswith(" ms")


def test_the_same_file_runs_as_a_plain_program(tmp_path):
    done = subprocess.run([sys.executable, _write(tmp_path / "job.py", JOB)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(line.split("> ")[-1] for line in done.stdout.splitlines()) == ["2", "3", "6"]


def test_what_shmflink_does_not_know_is_the_jobs(tmp_path):
    job = _write(tmp_path / "job.py", "import sys; print(__name__, sys.argv[1:], sys.path[0])")
    done = _run("run", "--slots", "1", job, "-input", "x", "--flag", "-p", "2", "--", "--slots", "7")
    assert done.stdout == f"__main__ ['-input', 'x', '--flag', '--slots', '7'] {tmp_path}\n"


def test_a_job_may_import_what_lies_beside_it(tmp_path):
    """[U13]"""
    _write(tmp_path / "beside.py", "def double(v): return 2 * v\n")
    job = JOB.replace("lambda v: 6 // v", "beside.double").replace("from shm", "import beside\n    from shm")
    done = _run("run", _write(tmp_path / "job.py", job), "--slots", "1")
    assert sorted(done.stdout.splitlines()) == ["2", "4", "6"], done.stderr


def test_a_failing_job_shows_the_users_traceback_once(tmp_path):
    path = _write(tmp_path / "job.py", JOB.replace("[1, 2, 3]", "[1, 0, 3]"))
    done = _run("run", path, "--slots", "1")
    assert done.returncode == 1
    assert done.stderr.count("ZeroDivisionError: integer division or modulo by zero") == 2, "headline and traceback"
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert f'File "{path}", line 4' in done.stderr
    assert "record: 0" in done.stderr


def test_a_jobs_own_exception_and_exit_code(tmp_path):
    done = _run("run", _write(tmp_path / "job.py", "def f(): raise ValueError('mine')\nf()"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: mine"
    assert "shmflink" not in done.stderr
    assert _run("run", _write(tmp_path / "exit.py", "import sys; sys.exit(7)")).returncode == 7


@pytest.mark.parametrize("command", ["run", "info"])
def test_a_program_that_fails_before_its_job_fails_alike(tmp_path, command):
    path = _write(tmp_path / "job.py", "import sys\nrows = int(sys.argv[1])")
    done = _run(command, path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[:2] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 2, in <module>',
    ]
    assert done.stderr.splitlines()[-1] == "IndexError: list index out of range"
    refused = _run(
        command, _write(tmp_path / "job.py", JOB.replace("env.from", "env.set_parallelism(0)\n    env.from"))
    )
    assert refused.stderr.count('File "') == 1
    assert "set_parallelism(0)" in refused.stderr
    assert _run(command, _write(tmp_path / "exit.py", "import sys; sys.exit(7)")).returncode == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "which job?"),
        (["run", "none.py"], "there is no file 'none.py'"),
        (["run", "{job}", "-D", "parallelism.defaul=1"], "did you mean"),
        (["run", "{job}", "--slots", "many"], "not a valid int|valid integer"),
        (["info", "none.py"], "there is no file"),
        (["fly"], "No such command"),
    ],
)
def test_wrong_usage(tmp_path, arguments, message):
    job = _write(tmp_path / "job.py", JOB)
    done = _run(*(word.format(job=job) for word in arguments))
    assert done.returncode in (1, 2)
    text = " ".join(done.stderr.replace("│", " ").split())
    assert any(part in text for part in message.split("|")), done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_slots(tmp_path):
    done = _run("run", _write(tmp_path / "job.py", JOB), "--slots", "1", "-p", "3")
    assert done.returncode == 1
    assert "needs 3 slots" in done.stderr


def test_the_summary_as_json(tmp_path):
    summary = tmp_path / "summary.json"
    done = _run("run", _write(tmp_path / "job.py", JOB), "--slots", "2", "--json", str(summary))
    assert done.returncode == 0, done.stderr
    content = orjson.loads(summary.read_bytes())
    assert (content["exit_code"], content["slots"]) == (0, 2)
    assert [(job["name"], job["state"]) for job in content["jobs"]] == [("divide", "FINISHED")]
    assert content["cluster_start_ms"] > 0
    assert sum(task["parallelism"] for task in content["jobs"][0]["tasks"]) == 3
    on_stderr = _run("run", "--json", str(tmp_path / "job.py"), "--slots", "1").stderr.splitlines()[-1]
    assert orjson.loads(on_stderr)["exit_code"] == 0


def test_options_from_a_file_and_from_its_folder(tmp_path):
    job = _write(tmp_path / "job.py", JOB)
    conf = tmp_path / "conf"
    conf.mkdir()
    file = _write(conf / "shmflink.yaml", "cluster:\n  slots: 1\nparallelism.default: 2\n")
    assert "needs 2 slots" in _run("run", job, "--config", file).stderr
    assert "needs 2 slots" in _run("run", job, SHMFLINK_CONF_DIR=str(conf)).stderr
    assert _run("run", job, "--config", file, "-p", "1").returncode == 0
    assert "cannot read the configuration" in " ".join(_run("run", job, SHMFLINK_CONF_DIR=str(tmp_path)).stderr.split())


def test_info_shows_the_plan_without_running(tmp_path):
    job = _write(tmp_path / "job.py", JOB)
    done = _run("info", job, "-p", "2")
    assert done.returncode == 0, done.stderr
    assert "divide" in done.stdout
    assert "parallelism 2" in done.stdout
    nodes = orjson.loads(_run("info", job, "--json").stdout)["nodes"]
    assert [node["pact"] for node in nodes] == ["Data Source", "Operator", "Data Sink"]


def test_info_logical_says_what_becomes_of_each_call_and_why(tmp_path):
    job = _write(tmp_path / "job.py", JOB)
    done = _run("info", "--logical", job, "-p", "2")
    assert done.returncode == 0, done.stderr
    assert "why      per record: calls __main__.<lambda>" in done.stdout
    assert "becomes  ─ REBALANCE ▶ Map (2)" in done.stdout
    both = _run("info", "--logical", "--json", job)
    assert both.returncode == 2
    assert "--json and --logical are 2 plans" in both.stderr


def test_info_portable_says_what_pyflink_has_for_each_call(tmp_path):
    job = _write(tmp_path / "job.py", JOB)
    done = _run("info", "--portable", job)
    assert (done.returncode, done.stderr) == (0, "")
    assert "portable to PyFlink 2.3: 3 calls, each with a counterpart" in done.stdout
    assert "yes      DataStream.map()" in done.stdout
    columns = _write(
        tmp_path / "columns.py", JOB.replace("env.execute(", "env.from_collection([1]).map_batches(len); env.execute(")
    )
    refused = _run("info", "--portable", columns)
    assert refused.returncode == 1
    assert "no       map_batches() is shmflink only" in refused.stdout


def test_help_teaches():
    text = _run("--help").stdout
    assert "shmflink run job.py --slots 32" in text
    assert "shmflink info job.py" in text
    assert "--parallelism" in _run("run", "--help").stdout


RUN = [*COMMAND, "run", "--slots", "1"]
BOTH = pytest.mark.parametrize("run", [RUN, [sys.executable]], ids=["shmflink run", "python"])


@BOTH
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_cancels_cleanly(tmp_path, run, number, code):
    """[P18] Also where user code does not return by itself: it is interrupted."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*run, _write(tmp_path / "job.py", BLOCKED.format(fifo=fifo))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with open(fifo) as started:
        started.read(1)
    process.send_signal(number)
    _, stderr = process.communicate()
    assert process.returncode == code, stderr
    assert "canceling; press Ctrl-C again to kill\n" in stderr
    assert re.search(r"job 'blocked' \(\w+\) was canceled\n", stderr)
    assert "Traceback" not in stderr


STARTING = """
    import sys
    from shmflink.client import jobmanager_process
    from shmflink.datastream import StreamExecutionEnvironment

    def launch(*arguments):
        with open(sys.argv[1], "w") as file:
            file.write("x")
        return before(*arguments)

    before, jobmanager_process.launch_jobmanager = jobmanager_process.launch_jobmanager, launch
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1]).map(lambda v: open(sys.argv[1]).read()).print()
    {end}
"""


@pytest.mark.parametrize("end", ["env.execute('a')", "env.execute_async('a').get_job_execution_result().result()"])
def test_ctrl_c_while_the_cluster_starts_ends_the_program_without_a_traceback(tmp_path, end):
    """The job itself would wait for ever."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    job = _write(tmp_path / "job.py", STARTING.format(end=end))
    process = subprocess.Popen([sys.executable, job, fifo], stderr=subprocess.PIPE, text=True)
    with open(fifo) as started:
        started.read(1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr


CATCHING = BLOCKED.replace(
    'env.execute("blocked")',
    """try:
        env.execute("blocked")
    except KeyboardInterrupt as interrupt:
        print("caught:", interrupt)
    env.from_collection([2]).print()
    env.execute("next")
    """,
)


def test_a_program_may_catch_ctrl_c_and_go_on(tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, _write(tmp_path / "job.py", CATCHING.format(fifo=fifo))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with open(fifo) as started:
        started.read(1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    caught, result = stdout.splitlines()
    assert re.fullmatch(r"caught: job 'blocked' \(\w+\) was canceled", caught)
    assert result.endswith("2")


@BOTH
def test_the_second_ctrl_c_kills(tmp_path, run):
    """[P18] Also what cannot be interrupted: a sleep in C."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    job = BLOCKED.replace("sleep(0.01)", "sleep(1000)").format(fifo=fifo)
    process = subprocess.Popen(
        [*run, _write(tmp_path / "job.py", job)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with open(fifo) as started:
        started.read(1)
    process.send_signal(signal.SIGINT)
    assert any("canceling" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "killing the cluster" in stderr


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_on_a_terminal_reaches_us_and_not_the_workers(tmp_path, presses):
    """[P18] The terminal signals its whole foreground group; the cluster is in none, and hears it from us."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    sleep = "sleep(0.01)" if presses == 1 else "sleep(1000)"
    job = _write(tmp_path / "job.py", BLOCKED.replace("sleep(0.01)", sleep).format(fifo=fifo))
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", job, "--slots", "1"],
        stdin=secondary, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(secondary)
    with open(fifo) as started:
        started.read(1)
    os.write(primary, b"\x03")
    assert any("canceling" in line for line in iter(process.stderr.readline, ""))
    if presses == 2:
        os.write(primary, b"\x03")
    _, stderr = process.communicate()
    os.close(primary)
    assert process.returncode == 130
    assert ("killing the cluster" in stderr) == (presses == 2)
    assert "Traceback" not in stderr


def test_output_that_nobody_reads_holds_the_job_up_and_nothing_else(tmp_path):
    """[P21] The pipe is full: the job stands still, and can be cancelled all the same."""
    job = JOB.replace("[1, 2, 3]", "list(range(1, 100_000))").replace("lambda v: 6 // v", "lambda v: print('x' * 1000)")
    process = subprocess.Popen(
        [*COMMAND, "run", _write(tmp_path / "job.py", job), "--slots", "1", "-D", "task.cancellation.timeout=500 ms"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    assert poll.poll(60_000), "it never wrote"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert "canceling" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def test_a_log_that_cannot_be_written_does_not_fail_the_job(tmp_path):
    """[P22] Standard error goes to a full disk."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "run", _write(tmp_path / "job.py", JOB), "--slots", "1"], stdout=subprocess.PIPE, stderr=full
        )
    assert done.returncode == 0
    assert sorted(done.stdout.split()) == [b"2", b"3", b"6"]


@pytest.mark.parametrize("command", ["--help", "--version", "info", "options", "options slots"])
def test_output_that_cannot_be_written_is_said(tmp_path, command):
    """Standard output goes to a full disk: of what writes at once, and of what Python holds back to the end."""
    file = [_write(tmp_path / "job.py", JOB)] if command == "info" else []
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *command.split(), *file], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "standard output cannot be written: No space left on device\n")


def test_on_a_terminal_a_live_line_and_a_table(tmp_path):
    primary, secondary = pty.openpty()
    job = _write(tmp_path / "job.py", JOB)
    process = subprocess.Popen(
        [*COMMAND, "run", job, "--slots", "1"],
        stdout=subprocess.DEVNULL, stderr=secondary, env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    )  # fmt: skip
    os.close(secondary)
    shown = b""
    poll = select.poll()
    poll.register(primary, select.POLLIN | select.POLLHUP)
    while poll.poll(60_000):
        try:
            shown += os.read(primary, 65536)
        except OSError:  # the terminal has no writer left
            break
    os.close(primary)
    assert process.wait() == 0
    assert b"divide" in shown
    assert b"finished" in shown
    assert b"pressured" in shown


@pytest.mark.parametrize("words", [("--slots", "none", "job.py"), ("no-such-file.py",), ("--help",)])
def test_a_run_without_a_job_leaves_no_jobmanager(words):
    """One has been starting since the first line; it would hold the pipe open."""
    done = subprocess.run([*COMMAND, "run", *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == (words == ("--help",))
    assert "Traceback" not in done.stderr
