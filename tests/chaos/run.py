"""One job under disturbance, from its start to the comparison of its output."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos import processes
from tests.chaos.disturbances import KINDS
from tests.chaos.observation import Checkpoints, Output, difference, leftover_files, read_output

__all__ = ["JOBS", "Job", "Report", "Run", "undisturbed"]

ROOT: Final = Path(__file__).parents[2]
_JOBS: Final = Path(__file__).parent / "jobs"
_POLL_S: Final = 0.01
_LIVENESS_S: Final = 60.0  # from a kill to the next checkpoint; other work on the machine may take most of it
_END_S: Final = 20.0  # from the client's end to that of all that it started
_HEARTBEAT_TIMEOUT_S: Final = 0.5
_DISK_BYTES: Final = 96 << 20
_BEGUN_AGAIN_MAX: Final = 20
_TAIL_BYTES: Final = 3000
_DESCRIPTORS_MORE_MAX: Final = 12  # of a JobManager, between two checkpoints of a job that restarts
_OF_THE_CLUSTER: Final = ("epoch", "owner")  # of the HA directory: the next JobManager goes on counting there

_MAIN: Final = "from shmflink.cli.main import main; main()"
_BASE: Final = {
    "heartbeat.interval": "50 ms",
    "heartbeat.timeout": f"{int(_HEARTBEAT_TIMEOUT_S * 1000)} ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": str(2**31 - 1),
    "restart-strategy.fixed-delay.delay": "50 ms",
    "high-availability.type": "FILESYSTEM",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One of tests/chaos/jobs: how much it reads, and how fast when it is to last."""

    name: str
    rows: int
    rows_per_s: int
    file: str = ""

    @property
    def script(self) -> str:
        return str(_JOBS / f"{self.file or self.name}.py")


JOBS: Final = {
    job.name: job
    for job in (
        Job("word_count", 120_000, 8_000),
        Job("windows", 1_500_000, 100_000),
        Job("join", 30_000, 2_000),
        Job("sessions", 30_000, 2_000),
        Job("two_sinks", 60_000, 4_000),
        Job("regions", 60_000, 4_000),
        Job("word_count_short", 24_000, 6_000, "word_count"),
    )
}


@dataclass(slots=True)
class Report:
    """What happened in a run. `problems` is empty where all is as it must be."""

    seed: int
    job: str
    settings: Mapping[str, str]
    strikes: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    recoveries_s: list[float] = field(default_factory=list)
    checkpoints: int = 0
    seconds: float = 0.0
    rows_out: int = 0
    has_fallen_back: bool = False
    begun_again: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.killed.total()


class StuckError(Exception):
    """No checkpoint for too long."""


def _environment(folder: Path) -> dict[str, str]:
    """All that the job may leave anywhere lies in the run's folder."""
    for name in ("tmp", "run", "state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "run").chmod(0o700)
    here = {"TMPDIR": "tmp", "XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "state"}
    return {**os.environ, **{key: str(folder / name) for key, name in here.items()}}


def start(job: Job, folder: Path, slots: int, settings: Mapping[str, str], rate: int | None) -> subprocess.Popen[bytes]:
    """The client, in a session of its own; what it prints goes to `log`."""
    options = [part for key, value in settings.items() for part in ("-D", f"{key}={value}")]
    arguments = [str(folder / "out"), str(job.rows)] + ([] if rate is None else [str(rate)])
    command = [sys.executable, "-c", _MAIN, "run", "-v", "--slots", str(slots), *options, job.script, *arguments]
    environment = _environment(folder)
    (folder / "out").mkdir(exist_ok=True)
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def undisturbed(job: Job, folder: Path) -> list[bytes]:
    """The sorted lines of a run that nobody disturbs, as fast as it can.

    Raises:
        RuntimeError: it failed.
    """
    folder.mkdir(parents=True)
    settings = {
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.dir": str(folder / "checkpoints"),
        "restart-strategy.type": "none",
    }
    process = start(job, folder, 2, settings, None)
    if process.wait(timeout=300) != 0:
        raise RuntimeError(f"{job.name} fails without being disturbed: {folder / 'log'}")
    return read_output(folder / "out")


class Run:
    """`go()` once. The kinds of disturbance are drawn from `weights`; all choices from the seed."""

    heartbeat_timeout_s = _HEARTBEAT_TIMEOUT_S

    def __init__(
        self, seed: int, job: Job, folder: Path, weights: Mapping[str, int], expected: list[bytes], kills_max: int
    ) -> None:
        self._rng = rng = random.Random(seed)
        self._job = job
        self._folder = folder
        self._weights = weights
        self._expected = expected
        self._kills_max = kills_max
        self._slots = rng.choice((2, 2, 2, 3))
        settings = _settings(rng, folder)
        self._interval_s = int(settings["execution.checkpointing.interval"].split()[0]) / 1000
        self.report = Report(seed, job.name, settings)
        self._checkpoints = Checkpoints(folder / "checkpoints")
        self._output = Output(folder / "out")
        self.checkpoint_folder = str(folder / "checkpoints")
        self._ballast = folder / "checkpoints" / "ballast"
        self.jobmanager_kills = 0
        self.is_client_killed = False
        self._descriptors: dict[int, list[int]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    # --- what disturbances use ---

    @property
    def client_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_over(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def flip_newest_checkpoint(self, rng: random.Random) -> bool:
        """False where there is none to spare."""
        files = self._checkpoints.files(self._checkpoints.completed())
        if not files or self._checkpoints.completed() < 3:
            return False
        victim = files[0] if rng.random() < 0.5 else rng.choice(files)
        with contextlib.suppress(OSError), open(victim, "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            place = rng.randrange(size) if size else 0
            if rng.random() < 0.5:
                file.truncate(place)
            else:
                file.seek(place)
                byte = file.read(1)
                file.seek(place)
                file.write(bytes([byte[0] ^ 1 << rng.randrange(8)]))
            self.report.has_fallen_back = True
            return True
        return False

    def fill_disk(self) -> bool:
        """False where the checkpoints' disk is not one of their own."""
        if not os.path.ismount(self._ballast.parent):
            return False
        with contextlib.suppress(OSError), open(self._ballast, "wb", buffering=0) as file:
            block = bytes(1 << 16)
            while True:
                file.write(block)
        return True

    def free_disk(self) -> None:
        self._ballast.unlink(missing_ok=True)

    # --- the run ---

    def go(self) -> Report:
        """Never raises for what the job does wrong: that is told in the report."""
        report = self.report
        began = time.monotonic()
        if self._weights.get("disk-full"):
            mount_disk(self.checkpoint_folder)
        try:
            self._start()
            while self._disturb_to_the_end():
                report.begun_again += 1
                self._start()
            report.seconds = time.monotonic() - began
            self._judge()
        except (StuckError, TimeoutError) as error:
            if not self._says_why_it_cannot_go_back():
                report.problems.append(str(error))
                self._dump_stacks()
            processes.end_group(self._process)
        finally:
            if os.path.ismount(self.checkpoint_folder):
                subprocess.run(["umount", "--lazy", self.checkpoint_folder], check=True)
        return report

    def _start(self) -> None:
        self._process = start(self._job, self._folder, self._slots, self.report.settings, self._job.rows_per_s)

    def _disturb_to_the_end(self) -> bool:
        """True where a user starts the program again, and it goes on with its job: the disk of the HA directory was at
        fault, or somebody killed the program.
        """
        self._disturb()
        self._wait(lambda: False, "the end")
        assert self._process is not None
        if self._process.returncode == 0 or self.report.begun_again >= _BEGUN_AGAIN_MAX:
            return False
        if self.is_client_killed:
            self.is_client_killed = False
            return True
        tail = (self._folder / "log").read_bytes()[-_TAIL_BYTES:]
        return b"the HA directory" in tail and b"cannot be written" in tail

    def _disturb(self) -> None:
        rng = self._rng
        begun = self._checkpoints.completed()
        self._wait(lambda: self._checkpoints.completed() > begun, "the first checkpoint")
        while not self.is_over() and self.report.kills < self._kills_max:
            time.sleep(rng.uniform(0, 1.5 * self._interval_s))
            kind = rng.choices(list(self._weights), list(self._weights.values()))[0]
            begun = self._checkpoints.begun()
            struck = time.monotonic()
            killed = KINDS[kind](self, rng)
            if killed or not self.is_over():
                self.report.strikes[kind] += 1
                self.report.killed[kind] += killed
            if kind == "client" and killed:
                self.is_client_killed = True
                self._wait(lambda: False, "the client's end")
            if self.is_over():
                break
            if rng.random() < 0.2:
                continue  # the next one comes whether there was progress or not
            self._wait(lambda begun=begun: self._checkpoints.completed() > begun, f"a checkpoint after {kind}")
            if kind == "taskmanager" and not self.is_over():
                self.report.recoveries_s.append(time.monotonic() - struck)
            self._look()

    def _wait(self, is_reached: Callable[[], bool], what: str) -> None:
        """Until it is reached or the job is over. StuckError where no checkpoint completes any more."""
        newest, since = self._checkpoints.completed(), time.monotonic()
        while not self.is_over() and not is_reached():
            time.sleep(_POLL_S)
            now = self._checkpoints.completed()
            if now > newest:
                newest, since = now, time.monotonic()
                self.report.checkpoints = max(self.report.checkpoints, now)
            if time.monotonic() - since > _LIVENESS_S:
                raise StuckError(f"no checkpoint for {_LIVENESS_S:g} s while waiting for {what}")

    def _look(self) -> None:
        self._output.look()
        jobmanager = processes.cluster_of(self.client_pid).jobmanager
        for pid in (self.client_pid, jobmanager):
            if count := processes.descriptors(pid):
                self._descriptors.setdefault(pid, []).append(count)

    def _dump_stacks(self) -> None:
        """All of its Python processes print their stacks into the log."""
        for pid in reversed(processes.descendants(self.client_pid)):
            processes.send_signal(pid, signal.SIGABRT)
        time.sleep(1)

    # --- judgement ---

    def _judge(self) -> None:
        assert self._process is not None
        problems = self.report.problems
        code = self._process.returncode
        if code != 0:
            text = (self._folder / "log").read_text(errors="replace")
            if self.report.has_fallen_back and "CheckpointCorrupted" in text:
                return  # all that it could go on from was spoilt, and it says so
            problems.append(f"exit code {code}: {text.strip()[-2000:]}")
        else:
            self._compare()
        problems += self._output.problems()
        problems += self._left()
        for pid, counts in self._descriptors.items():
            if len(counts) >= 8 and counts[-1] - min(counts[:4]) > _DESCRIPTORS_MORE_MAX:
                problems.append(f"process {pid} has ever more descriptors: {counts}")

    def _says_why_it_cannot_go_back(self) -> bool:
        """A file that was in progress at the older checkpoint is published by now: restarts end only with patience."""
        log = (self._folder / "log").read_text(errors="replace")
        return self.report.has_fallen_back and "cannot be gone on with" in log[-_TAIL_BYTES:]

    def _has_lost_the_last_jobmanager(self) -> bool:
        """It was killed when the job was over already."""
        log = (self._folder / "log").read_bytes()
        return self.jobmanager_kills > log.count(b"A new one (pid")

    def _compare(self) -> None:
        got = read_output(self._folder / "out")
        self.report.rows_out = len(got)
        found = difference(self._expected, got)
        if found is None:
            return
        if self.report.has_fallen_back and found.lost == found.foreign == 0:
            return  # what the spoilt checkpoint had committed is seen again: nobody can take it back
        self.report.problems.append(str(found))

    def _left(self) -> list[str]:
        end = time.monotonic() + _END_S
        while (pids := processes.reap()) and time.monotonic() < end:
            time.sleep(_POLL_S)
        left = [f"process {pid} is left" for pid in pids]
        left += [f"{path} is left" for path in leftover_files(self._folder / "out")]
        for name in ("tmp", "run", "checkpoints", "state"):
            for base, _, files in os.walk(self._folder / name):
                if name == "state" and self._has_lost_the_last_jobmanager():
                    continue  # the next one with this HA directory would sweep it
                if name == "checkpoints" and self.report.strikes["write-errors"]:
                    continue  # what the disk refused to remove
                left += [f"{base}/{file} is left" for file in files if file not in _OF_THE_CLUSTER]
        return left


def mount_disk(path: str) -> None:
    """A small disk for checkpoints. Only in a mount namespace of one's own, so that nobody else sees it."""
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "chaos", path], check=True)


def _settings(rng: random.Random, folder: Path) -> dict[str, str]:
    """Options of checkpoints, drawn anew for each run."""
    settings = {
        **_BASE,
        "execution.checkpointing.interval": f"{rng.choice((50, 100, 200))} ms",
        "execution.checkpointing.dir": str(folder / "checkpoints"),
        "execution.checkpointing.num-retained": "3",
        "execution.checkpointing.tolerable-failed-checkpoints": str(2**31 - 1),
        "execution.checkpointing.incremental": rng.choice(("true", "true", "false")),
        "execution.checkpointing.data-inline-threshold": rng.choice(("20 kb", "0 b")),
    }
    if rng.random() < 0.4:
        settings["execution.checkpointing.unaligned.enabled"] = "true"
        settings["execution.checkpointing.aligned-checkpoint-timeout"] = rng.choice(("0 ms", "50 ms"))
    return settings
