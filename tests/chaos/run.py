"""One job under disturbance, from its start to the comparison of its output."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos import processes
from tests.chaos.client import Client, Job
from tests.chaos.database import Database
from tests.chaos.disturbances import KINDS
from tests.chaos.observation import Output, difference, leftover_files, read_output

__all__ = ["JOBS", "Report", "Run", "undisturbed"]

_POLL_S: Final = 0.01
_LIVENESS_S: Final = 60.0  # from a kill to the next checkpoint; other work on the machine may take most of it
_END_S: Final = 20.0  # from the client's end to that of all that it started
_HEARTBEAT_TIMEOUT_S: Final = 0.5
_DISK_BYTES: Final = 96 << 20
_BEGUN_AGAIN_MAX: Final = 20
_DESCRIPTORS_MORE_MAX: Final = 12  # of a JobManager, between two checkpoints of a job that restarts
_OF_THE_CLUSTER: Final = ("epoch", "identity", "note", "owner")  # of the HA directory, which stays

_BASE: Final = {
    "heartbeat.interval": "50 ms",
    "heartbeat.timeout": f"{int(_HEARTBEAT_TIMEOUT_S * 1000)} ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": str(2**31 - 1),
    "restart-strategy.fixed-delay.delay": "50 ms",
    "high-availability.type": "FILESYSTEM",
}


JOBS: Final = {
    job.name: job
    for job in (
        Job("word_count", 120_000, 8_000),
        Job("windows", 1_500_000, 100_000),
        Job("join", 30_000, 2_000),
        Job("sessions", 30_000, 2_000),
        Job("two_sinks", 60_000, 4_000),
        Job("regions", 60_000, 4_000),
        Job("broadcast", 30_000, 2_000),
        Job("lookups", 20_000, 1_500),
        Job("late_windows", 30_000, 2_000),
        Job("ttl_counts", 30_000, 2_000),
        Job("partitioned", 60_000, 4_000),
        Job("database", 30_000, 2_000, needs_database=True),
        Job("two_programs", 30_000, 2_000, "database", needs_database=True, clients=2),
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


def undisturbed(job: Job, folder: Path, database: Database | None) -> list[bytes]:
    """The sorted lines of a run that nobody disturbs, as fast as it can; of all its programs.

    Raises:
        RuntimeError: it failed.
    """
    folder.mkdir(parents=True)
    settings = {
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.dir": str(folder / "checkpoints"),
        "restart-strategy.type": "none",
    }
    table = "" if database is None else database.new_table()
    for client in _clients(job, folder, settings, 2, {} if database is None else database.variables(table)):
        client.start(None)
        assert client.process is not None
        if client.process.wait(timeout=300) != 0:
            raise RuntimeError(f"{job.name} fails without being disturbed: {client.log}")
    return _lines(folder / "out", database, table)


def _clients(
    job: Job, folder: Path, settings: Mapping[str, str], slots: int, variables: Mapping[str, str]
) -> list[Client]:
    made = []
    for tag in job.tags:
        own = folder if len(job.tags) == 1 else folder / tag
        own.mkdir(exist_ok=True)
        made.append(Client(job, own, folder / "out", settings, slots, {**variables, "SHMFLINK_CHAOS_TAG": tag}))
    return made


def _lines(output: Path, database: Database | None, table: str) -> list[bytes]:
    lines = read_output(output) + ([] if database is None else database.lines(table))
    return sorted(lines)


class Run:
    """`go()` once. The kinds of disturbance are drawn from `weights`; all choices from the seed.

    Where the job has several programs, each strike is at one of them.
    """

    heartbeat_timeout_s = _HEARTBEAT_TIMEOUT_S

    def __init__(
        self,
        seed: int,
        job: Job,
        folder: Path,
        weights: Mapping[str, int],
        expected: list[bytes],
        kills_max: int,
        database: Database | None = None,
    ) -> None:
        self._rng = rng = random.Random(seed)
        self._job = job
        self._folder = folder
        self._weights = weights
        self._expected = expected
        self._kills_max = kills_max
        slots = rng.choice((2, 2, 2, 3))
        settings = _settings(rng, folder)
        self._interval_s = int(settings["execution.checkpointing.interval"].split()[0]) / 1000
        self.report = Report(seed, job.name, settings)
        self._output = Output(folder / "out")
        self.checkpoint_folder = str(folder / "checkpoints")
        self._ballast = folder / "checkpoints" / "ballast"
        self._descriptors: dict[int, list[int]] = {}
        self._database = database
        self._table = "" if database is None else database.new_table()
        variables = {} if database is None else database.variables(self._table)
        self._clients = _clients(job, folder, settings, slots, variables)
        self._client = self._clients[0]

    # --- what disturbances use: of the program that they strike ---

    @property
    def client_pid(self) -> int:
        return self._client.pid

    @property
    def jobmanager_kills(self) -> int:
        return self._client.jobmanager_kills

    @jobmanager_kills.setter
    def jobmanager_kills(self, count: int) -> None:
        self._client.jobmanager_kills = count

    def is_over(self) -> bool:
        return self._client.is_over()

    def stop_with_savepoint(self, rng: random.Random) -> bool:
        return self._client.stop_with_savepoint(rng)

    def flip_newest_checkpoint(self, rng: random.Random) -> bool:
        """False where there is none to spare."""
        checkpoints = self._client.checkpoints
        files = checkpoints.files(checkpoints.completed())
        if not files or checkpoints.completed() < 3:
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
            for client in self._clients:
                client.start(self._job.rows_per_s)
            while self._disturb_to_the_end():
                report.begun_again += 1
            report.seconds = time.monotonic() - began
            self._judge()
        except (StuckError, TimeoutError, subprocess.TimeoutExpired) as error:
            if not self._says_why_it_cannot_go_back():
                report.problems.append(str(error))
                self._dump_stacks()
            for client in self._clients:
                processes.end_group(client.process)
        finally:
            if os.path.ismount(self.checkpoint_folder):
                subprocess.run(["umount", "--lazy", self.checkpoint_folder], check=True)
        return report

    def _disturb_to_the_end(self) -> bool:
        """True where programs were started again and the run goes on."""
        self._disturb()
        has_begun = False
        for client in self._clients:
            self._client = client
            self._wait(lambda: False, "the end")
            has_begun |= self._begin_again(client)
        return has_begun

    def _begin_again(self, client: Client) -> bool:
        """As a user starts a program again, and it goes on with its job: somebody killed it or stopped its job with a
        savepoint, or the disk of the HA directory was at fault.
        """
        assert client.process is not None
        wants = client.is_rescaled or client.is_killed
        if not wants and client.process.returncode != 0 and client.begun_again < _BEGUN_AGAIN_MAX:
            tail = client.tail()
            wants = b"the HA directory" in tail and b"cannot be written" in tail
        if wants:
            client.is_rescaled = client.is_killed = False
            client.begun_again += 1
            client.start(self._job.rows_per_s)
        return wants

    def _disturb(self) -> None:
        rng = self._rng
        for client in self._clients:
            self._client = client
            begun = self._completed()
            self._wait(lambda begun=begun: self._completed() > begun, "the first checkpoint")
        while self.report.kills < self._kills_max:
            running = [client for client in self._clients if not client.is_over()]
            if not running:
                break
            self._client = rng.choice(running)
            time.sleep(rng.uniform(0, 1.5 * self._interval_s))
            if not self._strike(rng):
                break

    def _strike(self, rng: random.Random) -> bool:
        """One disturbance, and what has to come after it. False where the program is over."""
        client = self._client
        kind = rng.choices(list(self._weights), list(self._weights.values()))[0]
        begun, struck = client.checkpoints.begun(), time.monotonic()
        killed = KINDS[kind](self, rng)
        if killed or not self.is_over() or client.is_rescaled:
            self.report.strikes[kind] += 1
            self.report.killed[kind] += killed
        if (kind == "client" and killed) or client.is_rescaled:
            client.is_killed = kind == "client"
            self._wait(lambda: False, "the client's end")
        if self.is_over():
            return False
        if rng.random() < 0.2:
            return True  # the next one comes whether there was progress or not
        self._wait(lambda: self._completed() > begun, f"a checkpoint after {kind}")
        if kind == "taskmanager" and not self.is_over():
            self.report.recoveries_s.append(time.monotonic() - struck)
        self._look()
        return True

    def _completed(self) -> int:
        return self._client.checkpoints.completed()

    def _wait(self, is_reached: Callable[[], bool], what: str) -> None:
        """Until it is reached or the job is over. StuckError where no checkpoint completes any more."""
        newest, since = self._completed(), time.monotonic()
        while not self.is_over() and not is_reached():
            time.sleep(_POLL_S)
            now = self._completed()
            if now > newest:
                newest, since = now, time.monotonic()
                self.report.checkpoints = max(self.report.checkpoints, now)
            if time.monotonic() - since > _LIVENESS_S:
                raise StuckError(f"no checkpoint for {_LIVENESS_S:g} s while waiting for {what}: {self._client.log}")

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
        problems = self.report.problems
        failed = [client for client in self._clients if client.process is not None and client.process.returncode != 0]
        for client in failed:
            text = client.log.read_text(errors="replace")
            if self.report.has_fallen_back and "CheckpointCorrupted" in text:
                return  # all that it could go on from was spoilt, and it says so
            problems.append(f"{client.log}: {text.strip()[-2000:]}")
        if not failed:
            self._compare()
        problems += self._output.problems()
        problems += self._left()
        for pid, counts in self._descriptors.items():
            if len(counts) >= 8 and counts[-1] - min(counts[:4]) > _DESCRIPTORS_MORE_MAX:
                problems.append(f"process {pid} has ever more descriptors: {counts}")

    def _says_why_it_cannot_go_back(self) -> bool:
        """A file that was in progress at the older checkpoint is published by now: restarts end only with patience."""
        return self.report.has_fallen_back and b"in-progress file" in self._client.tail()

    def _compare(self) -> None:
        got = _lines(self._folder / "out", self._database, self._table)
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
        left += [] if self._database is None else self._database.leftovers(self._table)
        folders = [client.folder / name for client in self._clients for name in ("tmp", "run")]
        folders += [client.folder / "state" for client in self._clients if not client.has_lost_the_last_jobmanager()]
        if not self.report.strikes["write-errors"]:  # there the disk may have refused to remove something
            folders.append(self._folder / "checkpoints")
        for folder in folders:
            for base, _, files in os.walk(folder):
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
