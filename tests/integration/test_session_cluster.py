"""A session cluster on real processes: many programs, one slot pool, no job harms another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.client.session_cluster import running_clusters

WAIT_S = 120
COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()"]
HEAD = """
import os, sys, time
from shmflink.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
"""
FINITE = "env.from_collection([1, 2, 3]).map(lambda n: n * 10).print()\nenv.execute('finite')\n"
ENDLESS = """
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.common import WatermarkStrategy
numbers = env.from_source(NumberSequenceSource(0, 1 << 60), WatermarkStrategy.no_watermarks(), 'numbers')
numbers.filter(lambda n: False).print()
env.execute('endless')
"""


class Shell:
    """Runs our commands with folders of their own; knows one session cluster, of two slots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun: list[subprocess.Popen[str]] = []
        (folder / "run").mkdir()
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, env=self.environment, timeout=WAIT_S, check=False
        )

    def begin(self, *words: str) -> subprocess.Popen[str]:
        begun = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment
        )
        self.begun.append(begun)
        return begun

    def close(self) -> None:
        """Ends what is left of the commands that were begun."""
        for begun in self.begun:
            begun.kill()
            begun.communicate()

    def program(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + textwrap.dedent(text))
        return str(path)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.command("run", "-t", "remote", *words, program)

    def jobs(self) -> dict[str, str]:
        """State by name."""
        found = json.loads(self.command("list", "-a", "--json").stdout)
        own = self.pid()
        return {job["name"]: job["state"] for job in found if job["jobmanager_pid"] == own}

    @property
    def log(self) -> str:
        """What jobs print: they run in the cluster's processes."""
        return (self.folder / "state" / "shmflink" / "log" / "session-default.log").read_text()

    def pid(self) -> int:
        ((_, description),) = running_clusters(self.environment)
        return description.pid


def is_running(pid: int) -> bool:
    """Not one that has ended and that nobody has reaped."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    started = made.command("start-cluster", "--slots", "2")
    assert started.returncode == 0, started.stderr
    assert "Session cluster 'default' is up: JobManager pid" in started.stdout
    yield made
    made.command("stop-cluster")
    made.close()
    assert running_clusters(made.environment) == []


def submitted(shell: Shell, program: str) -> str:
    """A detached job's id; it is waited for until it runs."""
    done = shell.run(program, "-d")
    assert done.returncode == 0, done.stderr
    return done.stderr.split("JobID ")[1].split()[0]


def test_jobs_of_many_programs_run_on_one_cluster_each_with_its_own_modules(shell: Shell) -> None:
    for name in ("a", "b"):
        (shell.folder / name).mkdir()
        (shell.folder / name / "words.py").write_text(f"WORD = '{name}'\n")
        body = "import words\nenv.from_collection([1]).map(lambda _: words.WORD).print()\nenv.execute('words')\n"
        program = shell.program(f"{name}/job.py", body)
        done = shell.run(program)
        assert done.returncode == 0, done.stderr
        assert "has finished." in done.stderr
    assert shell.log.split() == ["a", "b"]
    again = shell.command("start-cluster")
    assert (again.returncode, "session cluster 'default' is already running" in again.stderr) == (1, True)


def test_a_detached_job_outlives_its_program_and_can_be_cancelled(shell: Shell) -> None:
    job_id = submitted(shell, shell.program("endless.py", ENDLESS))
    assert shell.jobs()["endless"] in ("CREATED", "RUNNING")
    cancelled = shell.command("cancel", job_id)
    assert cancelled.returncode == 0, cancelled.stderr
    assert shell.jobs()["endless"] == "CANCELED"
    result = "result = env.execute_async('d').get_job_execution_result().result()\n"
    ask = "try:\n    result.get_net_runtime()\nexcept Exception as error:\n    print(error)\n"
    done = shell.run(shell.program("detached.py", f"env.from_collection([1]).print()\n{result}{ask}"), "-d")
    assert "the job was submitted in detached mode" in done.stdout, done.stderr


def test_the_crash_of_a_job_and_the_death_of_its_client_harm_no_other(shell: Shell) -> None:
    submitted(shell, shell.program("endless.py", ENDLESS))
    crash = "env.from_collection([1]).map(lambda n: os.kill(os.getpid(), 9)).print()\nenv.execute('crash')\n"
    crashed = shell.run(shell.program("crash.py", crash))
    assert (crashed.returncode, "was killed by signal 9" in crashed.stderr) == (1, True), crashed.stderr
    attached = shell.begin("run", "-t", "remote", shell.program("second.py", ENDLESS.replace("'endless'", "'second'")))
    assert attached.stderr is not None
    assert "Job has been submitted" in attached.stderr.readline()
    attached.kill()
    attached.wait()
    assert {name: state for name, state in shell.jobs().items() if name != "crash"}.keys() == {"endless", "second"}
    assert shell.command("cancel", "second").returncode == 0, "its program is gone, the job is not"
    finite = shell.run(shell.program("finite.py", FINITE))
    assert finite.returncode == 0, finite.stderr
    assert shell.log.split()[-3:] == ["10", "20", "30"]
    assert shell.jobs()["endless"] == "RUNNING"


def test_a_job_that_waits_for_slots_says_so_and_gets_those_of_a_new_taskmanager(shell: Shell) -> None:
    for name in ("first", "second"):
        submitted(shell, shell.program(f"{name}.py", ENDLESS.replace("'endless'", f"'{name}'")))
    waiting = shell.begin("run", "-t", "remote", shell.program("finite.py", FINITE))
    assert waiting.stderr is not None
    lines = [waiting.stderr.readline(), waiting.stderr.readline()]
    assert "Job 'finite' waits for 1 slot: 0 of 2 are free; 'first' (" in lines[1]
    more = shell.command("taskmanager", "--slots", "1")
    assert more.stdout == "Session cluster 'default' has 3 slots.\n", more.stderr
    assert waiting.wait(WAIT_S) == 0
    assert "has finished." in waiting.stderr.read()


def test_ctrl_c_cancels_the_job_of_an_attached_program(shell: Shell) -> None:
    attached = shell.begin("run", "-t", "remote", shell.program("endless.py", ENDLESS))
    assert attached.stderr is not None
    assert "Job has been submitted" in attached.stderr.readline()
    attached.send_signal(signal.SIGINT)
    assert attached.wait(WAIT_S) == 130
    assert shell.jobs() == {"endless": "CANCELED"}


def test_stopping_the_cluster_ends_its_jobs_and_processes(shell: Shell) -> None:
    attached = shell.begin("run", "-t", "remote", shell.program("endless.py", ENDLESS))
    assert attached.stderr is not None
    assert "Job has been submitted" in attached.stderr.readline()
    pid = shell.pid()
    assert shell.command("stop-cluster").returncode == 0
    assert not is_running(pid)
    assert attached.wait(WAIT_S) == 1
    assert list((shell.folder / "run" / "shmflink").glob("*.sock")) == []
    refused = shell.run(shell.program("finite.py", FINITE))
    assert refused.returncode == 1
    assert "there is no session cluster 'default' of this user on this host (none runs)" in refused.stderr


def test_of_two_clusters_that_start_at_once_under_one_name_one_is_refused(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        begun = [shell.begin("start-cluster", "-D", "cluster.slots=1") for _ in range(2)]
        told = [process.communicate(timeout=WAIT_S) for process in begun]
        assert sorted(process.returncode for process in begun) == [0, 1], told
        assert "session cluster 'default' is already running" in "".join(stderr for _, stderr in told)
        assert len(running_clusters(shell.environment)) == 1
    finally:
        shell.command("stop-cluster")
        shell.close()


def test_what_a_session_cluster_cannot_do_is_refused(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    alone = shell.command("run", "-d", shell.program("finite.py", FINITE))
    assert (alone.returncode, "-d: a detached job needs a cluster that outlives" in alone.stderr) == (1, True)
    both = shell.command("run", "-t", "local", "-m", "team", shell.program("finite.py", FINITE))
    assert both.returncode == 2


def test_the_jobmanager_in_the_foreground_ends_by_ctrl_c(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    jobmanager: Any = shell.begin("jobmanager", "--slots", "1", "-m", "team")
    done = None
    while done is None or done.returncode:
        assert jobmanager.poll() is None
        done = shell.command("run", "-m", "team", shell.program("finite.py", FINITE))
    assert "there is no session cluster 'default'" in shell.run(shell.program("finite.py", FINITE)).stderr
    jobmanager.send_signal(signal.SIGINT)
    out, _ = jobmanager.communicate(timeout=WAIT_S)
    assert (jobmanager.returncode, out) == (0, "10\n20\n30\n")


COUNTS = """
from shmflink.common import Encoder, Types, WatermarkStrategy
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
env.enable_checkpointing(100)
numbers = env.from_source(NumberSequenceSource(0, 399_999), WatermarkStrategy.no_watermarks(), 'numbers')
slow = numbers.map(lambda n: (time.sleep(0.00001), n)[1])
slow.map(str, Types.STRING()).sink_to(FileSink.for_row_format(sys.argv[1], Encoder.simple_string_encoder()).build())
env.execute(os.path.basename(sys.argv[1]))
"""


def with_second_checkpoint(folder: Path) -> set[str]:
    """The jobs that have one: the first is then in the HA directory."""
    return {path.parts[-3] for path in folder.rglob("_metadata") if path.parts[-2] != "chk-1"}


def test_jobs_outlive_the_death_of_the_jobmanager_where_there_is_an_ha_directory(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    configured = ("-D", "high-availability.type=FILESYSTEM", "-D", f"high-availability.storageDir={tmp_path}/ha")
    configured += ("-D", f"execution.checkpointing.dir={tmp_path}/checkpoints", "--slots", "3")
    names = [f"out{number}" for number in range(3)]
    try:
        assert shell.command("start-cluster", *configured).returncode == 0
        program = shell.program("counts.py", COUNTS)
        for name in names:
            done = shell.command("run", "-t", "remote", "-d", program, str(tmp_path / name))
            assert done.returncode == 0, done.stderr
        while len(with_second_checkpoint(tmp_path / "checkpoints")) < len(names):
            assert set(shell.jobs().values()) <= {"CREATED", "RUNNING"}
        os.kill(shell.pid(), signal.SIGKILL)
        again = shell.command("start-cluster", *configured)
        assert again.returncode == 0, again.stderr
        assert shell.log.count("resumes from checkpoint") == len(names), shell.log
        while set(shell.jobs().values()) != {"FINISHED"}:
            assert set(shell.jobs().values()) <= {"CREATED", "RUNNING", "FINISHED"}, shell.log
        for name in names:
            lines = " ".join(path.read_text() for path in (tmp_path / name).glob("**/[!._]*") if path.is_file())
            assert sorted(map(int, lines.split())) == list(range(400_000)), name
    finally:
        shell.command("stop-cluster")
        shell.close()
    assert [path for path in (tmp_path / "ha").rglob("*") if path.parent.name in ("jobs", "results")] == []


def test_jobs_that_are_over_are_told_by_the_next_cluster_of_the_name_until_they_expire(shell: Shell) -> None:
    assert shell.run(shell.program("finite.py", FINITE)).returncode == 0
    for slots, expires, known in (("1", "1 h", {"finite": "FINISHED"}), ("1", "0", {})):
        assert shell.command("stop-cluster").returncode == 0
        again = shell.command("start-cluster", "--slots", slots, "-D", f"jobstore.expiration-time={expires}")
        assert again.returncode == 0, again.stderr
        assert shell.jobs() == known
    assert list((shell.folder / "state" / "shmflink" / "jobs" / "default").iterdir()) == []


def test_a_detached_program_gets_the_rows_that_it_collects(shell: Shell) -> None:
    body = "print(sorted(env.from_collection([1, 2, 3]).map(lambda n: n + 1).execute_and_collect()))\n"
    done = shell.run(shell.program("collects.py", body), "-d")
    assert done.stdout == "[2, 3, 4]\n", done.stderr


def test_a_job_that_is_bound_to_its_program_is_canceled_when_that_one_is_killed(shell: Shell) -> None:
    attached = shell.begin("run", "-t", "remote", "-sae", shell.program("endless.py", ENDLESS))
    assert attached.stderr is not None
    assert "Job has been submitted" in attached.stderr.readline()
    attached.kill()
    while shell.jobs()["endless"] != "CANCELED":
        assert shell.jobs()["endless"] in ("CREATED", "RUNNING", "CANCELLING", "CANCELED")
