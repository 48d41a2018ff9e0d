"""Running jobs from outside: commands over the control socket, JobManagers that die, programs that are started again.

Each job counts numbers by key, slowly until a file appears; its output is right when every number came out once, with
the count that it has in an undisturbed run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.client.control_client import RunningJob, survey
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.rpc.messages import CheckpointSummary

COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()"]
WAIT_S = 120
KEYS = 7
ROWS = 60_000
JOB = """
    import os
    import sys
    import time
    import numpy as np
    import pyarrow as pa
    from shmflink.common import Encoder, Types
    from shmflink.datastream import StreamExecutionEnvironment
    from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
    from shmflink.datastream.functions import KeyedProcessFunction
    from shmflink.datastream.state import ValueStateDescriptor

    OUT, ROWS, GO = sys.argv[1], int(sys.argv[2]), sys.argv[3]

    class Numbered(KeyedProcessFunction):
        def open(self, context):
            self.count = context.get_state(ValueStateDescriptor("count", Types.LONG()))

        def process_element(self, value, context):
            count = (self.count.value() or 0) + 1
            self.count.update(count)
            yield f"{value} {count}"

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)

    def rows(start, stop):
        if stop > start and not os.path.exists(GO):
            time.sleep(0.05)  # slow as long as the test disturbs it
        if start == 1000:
            open(GO + ".begun", "w").close()  # rows before these are on their way, before any barrier to come
        return pa.record_batch([pa.array(np.arange(start, stop))], names=["n"])

    sink = FileSink.for_row_format(OUT, Encoder.simple_string_encoder())
    sink = sink.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()
    numbers = env.generate(rows, ROWS, batch_rows=100).map(lambda row: row.n, Types.LONG())
    counted = numbers.key_by(lambda n: n % 7).process(Numbered(), Types.STRING()).uid("numbered")
    counted.sink_to(sink).uid("sink")
    env.execute("count numbers")
"""
SLOW_JOB = """
    import time
    from shmflink.common import Types, WatermarkStrategy
    from shmflink.datastream import StreamExecutionEnvironment
    from shmflink.datastream.connectors.number_seq import NumberSequenceSource

    def slow(number):
        time.sleep(0.004)
        return number

    env = StreamExecutionEnvironment.get_execution_environment()
    source = NumberSequenceSource(1, 1_000_000)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
    sums = numbers.map(slow, Types.LONG()).key_by(lambda n: n % 7).reduce(lambda a, b: a + b)
    sums.map(slow, Types.LONG()).filter(lambda n: False).print()
    env.execute("slow sums")
"""


def wait(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns once it is true."""
    end = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found


class Place:
    """Folders of one test, and the `shmflink` commands that work in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = tempfile.mkdtemp(prefix="sf-")
        self.out = folder / "out"
        self.job = folder / "job.py"
        self._go = str(folder / "go")
        self.job.write_text(textwrap.dedent(JOB))
        self._environment = {**os.environ, "XDG_RUNTIME_DIR": self.runtime, "COLUMNS": "200", "NO_COLOR": "1"}
        self._running: list[subprocess.Popen[str]] = []

    def shmflink(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=self._environment, timeout=WAIT_S)

    def run(self, rows: int, *words: str, ha: bool = False, more: str = "") -> subprocess.Popen[str]:
        """`words`: options; `more`: an argument that the job's file does not look at."""
        settings = {
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.dir": f"file://{self.folder}/checkpoints",
            "execution.checkpointing.savepoint-dir": f"file://{self.folder}/savepoints",
        }
        if ha:
            settings |= {"high-availability.type": "filesystem", "high-availability.storageDir": f"{self.folder}/ha"}
        options = [word for key, value in settings.items() for word in ("-D", f"{key}={value}")]
        program = [str(self.job), str(self.out), str(rows), self._go, more]
        process = subprocess.Popen(
            [*COMMAND, "run", "--slots", "2", *options, *words, *program],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self._environment,
        )  # fmt: skip
        self._running.append(process)
        return process

    def go(self) -> None:
        """Whatever runs, or will run, hurries to its end."""
        Path(self._go).touch()

    def jobs(self) -> tuple[RunningJob, ...]:
        return survey([f"{self.runtime}/shmflink"], SYSTEM_CLOCK).jobs

    def job_after(self, checkpoint_id: int, pid_before: int = 0) -> RunningJob:
        """The one job, once it has a later checkpoint; of another JobManager than `pid_before`."""

        def found() -> RunningJob | None:
            jobs = [job for job in self.jobs() if not job.overview.state.is_terminal and job.pid != pid_before]
            return jobs[0] if jobs and checkpoint_of(jobs[0]) > checkpoint_id else None

        job = wait(found, f"no checkpoint after {checkpoint_id}; running: {self.jobs()}")
        assert isinstance(job, RunningJob)
        return job

    def output(self) -> Counter[str]:
        """All visible lines."""
        files = [path for path in self.out.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))]
        return Counter(line for path in files for line in path.read_text().splitlines())

    def sockets(self) -> list[str]:
        return os.listdir(f"{self.runtime}/shmflink")

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            process.stderr.close()
        wait(lambda: not self.jobs(), "a JobManager outlives its client")
        shutil.rmtree(self.runtime)


def expected(rows: int) -> Counter[str]:
    return Counter(f"{number} {number // KEYS + 1}" for number in range(rows))


def checkpoint_of(job: RunningJob) -> int:
    checkpoints = job.overview.checkpoints
    assert isinstance(checkpoints, CheckpointSummary)
    return checkpoints.last_id or 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def test_list_checkpoint_savepoint_and_stop_and_on_from_there(place: Place) -> None:
    """[P16] A savepoint of a job that runs, stop with one, and a new run from it: nothing lost, nothing twice."""
    first = place.run(ROWS)
    job = place.job_after(0)
    job_id = str(job.overview.job_id)
    listed = place.shmflink("list")
    assert f"{job_id} : count numbers (RUNNING)" in listed.stdout
    taken = place.shmflink("checkpoint", "count numbers")
    assert taken.returncode == 0, taken.stderr
    assert f"for job {job_id} completed." in taken.stdout
    saved = place.shmflink("savepoint", job_id[:8], str(place.folder / "mine"))
    assert saved.returncode == 0, saved.stderr
    assert f"Savepoint completed. Path: file:{place.folder}/mine/savepoint-" in saved.stdout
    stopped = place.shmflink("stop", job_id, "--savepoint")
    assert stopped.returncode == 0, stopped.stderr
    path = next(line for line in stopped.stdout.splitlines() if line.startswith("Savepoint completed.")).split()[-1]
    assert path.startswith(f"file:{place.folder}/savepoints/savepoint-")
    assert first.wait(WAIT_S) == 0, first.stderr.read()
    half = place.output()
    assert 0 < half.total() < ROWS
    assert half == expected(half.total()), "a prefix, visible at once"
    assert job_id not in place.shmflink("list").stdout
    place.go()
    second = place.run(ROWS, "-s", path)
    assert second.wait(WAIT_S) == 0, second.stderr.read()
    assert place.output() == expected(ROWS)
    assert place.sockets() == []


def test_savepoints_while_checkpoints_wait_for_slow_functions(place: Place) -> None:
    """[P16] A slow task records what waits before it; no savepoint overtakes that, and none is overtaken."""
    place.job.write_text(textwrap.dedent(SLOW_JOB))
    process = place.run(ROWS)
    job_id = str(place.job_after(0).overview.job_id)
    for _ in range(5):
        saved = place.shmflink("savepoint", job_id)
        assert saved.returncode == 0, saved.stderr
    stopped = place.shmflink("stop", job_id, "--savepoint")
    assert stopped.returncode == 0, stopped.stderr
    assert process.wait(WAIT_S) == 0
    said = process.stderr.read()
    assert "overtook" not in said
    assert "Restarted" not in said


def test_cancel_and_what_a_job_says_that_is_not_there(place: Place) -> None:
    process = place.run(ROWS)
    job = place.job_after(0)
    wrong = place.shmflink("cancel", "count number")
    assert wrong.returncode == 1
    assert "did you mean 'count numbers'?" in wrong.stderr
    assert str(job.overview.job_id) in wrong.stderr
    done = place.shmflink("cancel", str(job.overview.job_id))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Cancelled job {job.overview.job_id}."
    assert process.wait(WAIT_S) == 1
    assert "was canceled" in process.stderr.read()


def test_stop_with_drain_ends_the_job(place: Place) -> None:
    process = place.run(ROWS)
    job = place.job_after(0)
    done = place.shmflink("stop", str(job.overview.job_id), "--drain", "--savepoint", str(place.folder / "mine"))
    assert done.returncode == 0, done.stderr
    assert process.wait(WAIT_S) == 0, process.stderr.read()
    output = place.output()
    assert output == expected(output.total())


def test_a_jobmanager_that_is_killed_again_and_again_is_replaced_and_goes_on(place: Place) -> None:
    """[P6] [P14] [P15]"""
    process = place.run(ROWS, ha=True)
    job, ids = place.job_after(0), set()
    for _ in range(3):
        ids.add(job.overview.job_id)
        os.kill(job.pid, signal.SIGKILL)
        job = place.job_after(checkpoint_of(job), job.pid)
    place.go()
    assert process.wait(WAIT_S) == 0, process.stderr.read()
    said = process.stderr.read()
    assert place.output() == expected(ROWS)
    assert len(ids) == 1, "the job keeps its id"
    assert said.count("was killed by signal 9. A new one") == 3
    assert "Restarted 3 times" in said
    assert said.count("job 'count numbers': resumes from checkpoint ") == 3
    assert "arguments" not in said.replace(str(place.folder), "")
    for kept in ("places", "jobs", "checkpoints", "results"):
        assert os.listdir(place.folder / "ha" / "default" / kept) == [], kept
    assert place.sockets() == []


def test_a_jobmanager_that_hangs_is_killed_and_replaced(place: Place) -> None:
    """[P7] Its client hears nothing of the job any more. What it wrote before it was stopped stands."""
    process = place.run(ROWS, ha=True)
    job = place.job_after(0)
    os.kill(job.pid, signal.SIGSTOP)
    wait(lambda: not os.path.exists(f"/proc/{job.pid}"), "the JobManager is still stopped")
    place.job_after(checkpoint_of(job), job.pid)
    place.go()
    assert process.wait(WAIT_S) == 0, process.stderr.read()
    assert f"The JobManager (pid {job.pid}) is silent" in process.stderr.read()
    assert place.output() == expected(ROWS)


@pytest.mark.parametrize("how", ["kill all", "terminate"])
def test_a_program_that_is_started_again_finds_its_job(place: Place, how: str) -> None:
    """[P6] [P17] As systemd would: the whole tree is killed, or asked to end. The same command goes on."""
    process = place.run(ROWS, ha=True)
    job = place.job_after(2)
    if how == "kill all":
        process.kill()
        os.kill(job.pid, signal.SIGKILL)
        process.wait(WAIT_S)
    else:
        process.terminate()
        assert process.wait(WAIT_S) == 143
        said = process.stderr.read()
        assert "is SUSPENDED" in said
        assert "resumes from its latest checkpoint" in said
    before = place.output().total()
    assert 0 < before < ROWS
    place.go()
    again = place.run(ROWS, ha=True, more="again")
    assert again.wait(WAIT_S) == 0, again.stderr.read()
    said = again.stderr.read()
    assert f"JobID {job.overview.job_id}" in said
    assert re.search(r"resumes from checkpoint \d+ \(\S+/chk-\d+\), \d+ s old\. The program's arguments were `", said)
    assert f"{place._go} ''` and are now `" in said
    assert f"{place._go} again`: the job keeps its previous state" in said
    assert place.output() == expected(ROWS)


def test_a_job_that_can_never_resume_fails_at_once(place: Place) -> None:
    """The savepoint does not know that its output was committed, and the output is gone; then: a state's other type."""
    place.run(ROWS, "-D", "execution.checkpointing.interval=1 h")
    wait((place.folder / "go.begun").exists, "nothing is written that the savepoint could hold")
    stopped = place.shmflink("stop", "count numbers", "--savepoint", str(place.folder / "savepoints"))
    assert stopped.returncode == 0, stopped.stderr
    (savepoint,) = (place.folder / "savepoints").iterdir()
    assert place.shmflink("state", "verify", str(savepoint)).returncode == 0
    for note in savepoint.glob("*.committed"):
        note.unlink()
    assert place.shmflink("state", "verify", str(savepoint)).returncode == 0, "its output is there"
    shutil.rmtree(place.out)
    checked = place.shmflink("state", "verify", str(savepoint))
    assert checked.returncode == 1
    assert "files that sinks have staged are missing" in checked.stderr
    failed = place.run(ROWS, "-s", str(savepoint))
    assert failed.wait(WAIT_S) == 1
    said = failed.stderr.read()
    assert "StagedDataLostError" in said
    assert "restarts" not in said
    place.job.write_text(textwrap.dedent(JOB).replace('"count", Types.LONG()', '"count", Types.STRING()'))
    failed = place.run(ROWS, "-s", str(savepoint))
    assert failed.wait(WAIT_S) == 1
    said = failed.stderr.read()
    assert "was saved as value of Long, but the job declares it as value of String" in said
    assert "restarts" not in said


def test_output_that_was_taken_away_since_the_savepoint_is_not_missed(place: Place) -> None:
    """[E3] Whoever collects files may be faster than the next start. The savepoint knows that they were committed."""
    place.run(ROWS, "-D", "execution.checkpointing.interval=1 h")
    wait((place.folder / "go.begun").exists, "nothing is written that the savepoint could hold")
    stopped = place.shmflink("stop", "count numbers", "--savepoint", str(place.folder / "savepoints"))
    assert stopped.returncode == 0, stopped.stderr
    (savepoint,) = (place.folder / "savepoints").iterdir()
    assert list(savepoint.glob("*.committed"))
    taken = place.output()
    assert 0 < taken.total() < ROWS
    shutil.rmtree(place.out)
    place.go()
    again = place.run(ROWS, "-s", str(savepoint))
    assert again.wait(WAIT_S) == 0, again.stderr.read()
    assert taken + place.output() == expected(ROWS)


def test_another_program_does_not_take_over_a_suspended_job(place: Place) -> None:
    """[C20] Same cluster-id, same job name, even the same operators: it is another file."""
    process = place.run(ROWS, ha=True)
    job = place.job_after(2)
    process.terminate()
    assert process.wait(WAIT_S) == 143
    before = place.output()
    other = Place(place.folder)
    other.job = place.folder / "b.py"
    other.job.write_text(place.job.read_text())
    other.out = place.folder / "out of b"
    with contextlib.closing(other):
        refused = other.run(ROWS, ha=True)
        assert refused.wait(WAIT_S) not in (0, 143)
        said = refused.stderr.read()
        assert f"holds job 'count numbers' ({place.job}), which has not ended" in said
        assert "-D high-availability.cluster-id=NAME" in said
        assert not other.output()
        other.go()
        beside = other.run(ROWS, "-D", "high-availability.cluster-id=b", ha=True)
        assert beside.wait(WAIT_S) == 0, beside.stderr.read()
        assert other.output() == expected(ROWS)
    assert place.output() == before
    again = place.run(ROWS, ha=True)
    assert again.wait(WAIT_S) == 0, again.stderr.read()
    assert f"JobID {job.overview.job_id}" in again.stderr.read()
    assert place.output() == expected(ROWS)


def test_a_second_program_on_one_ha_directory_is_refused_and_told_of_the_first(place: Place) -> None:
    """[P8]"""
    place.run(ROWS, ha=True)
    job = place.job_after(0)
    second = place.run(10, ha=True)
    assert second.wait(WAIT_S) == 75
    said = second.stderr.read()
    assert f"is in use by the JobManager with pid {job.pid}" in said
    assert "high-availability.cluster-id" in said
    third = place.run(10, "-D", "high-availability.cluster-id=third", ha=True)
    assert third.wait(WAIT_S) == 0, third.stderr.read()


def test_a_program_that_stands_by_takes_the_result_of_the_one_that_it_waited_for(place: Place) -> None:
    """[P8] A new start, when both have ended, is a new run."""
    first = place.run(ROWS, ha=True)
    job = place.job_after(0)
    second = place.run(ROWS, ha=True)
    line = next(line for line in second.stderr if "waits up to" in line)
    assert f"the JobManager with pid {job.pid}, which runs 'count numbers'," in line
    place.go()
    assert first.wait(WAIT_S) == 0, first.stderr.read()
    assert second.wait(WAIT_S) == 0, second.stderr.read()
    assert f"job 'count numbers' has finished under JobManager pid {job.pid}" in second.stderr.read()
    assert place.output() == expected(ROWS)
    third = place.run(ROWS, ha=True)
    assert third.wait(WAIT_S) == 0, third.stderr.read()
    assert place.output().total() == 2 * ROWS
