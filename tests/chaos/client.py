"""A program under disturbance: how it is started, again and again, and what it has said of its job."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.observation import Checkpoints

__all__ = ["Client", "Job"]

ROOT: Final = Path(__file__).parents[2]
_JOBS: Final = Path(__file__).parent / "jobs"
_MAIN: Final = "from shmflink.cli.entry import main; main()"
_SUBMITTED: Final = re.compile(rb"JobID ([0-9a-f]{32})")
_STOP_S: Final = 60.0
_TAIL_BYTES: Final = 3000


@dataclass(frozen=True, slots=True)
class Job:
    """One of tests/chaos/jobs: how much it reads, and how fast when it is to last.

    `clients`: how many programs of it run at the same time, each with a tag of its own, into one folder and one table.
    """

    name: str
    rows: int
    rows_per_s: int
    file: str = ""
    needs_database: bool = False
    clients: int = 1

    @property
    def script(self) -> str:
        return str(_JOBS / f"{self.file or self.name}.py")

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple("abcdefgh"[: self.clients])


@dataclass(slots=True)
class Client:
    """One program. `folder` is its own, `output` may be shared; `variables` go into its environment."""

    job: Job
    folder: Path
    output: Path
    settings: Mapping[str, str]
    slots: int
    variables: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    savepoint: str = ""
    jobmanager_kills: int = 0
    is_killed: bool = False
    is_rescaled: bool = False
    begun_again: int = 0

    def start(self, rate: int | None) -> None:
        """In a session of its own; what it prints goes to `log`."""
        options = [part for key, value in self.settings.items() for part in ("-D", f"{key}={value}")]
        options += ["-s", self.savepoint] if self.savepoint else []
        arguments = [str(self.output), str(self.job.rows)] + ([] if rate is None else [str(rate)])
        command = [sys.executable, "-c", _MAIN, "run", "-v", "--slots", str(self.slots), *options]
        self.output.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, self.job.script, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """All that the job may leave anywhere lies in the folder."""
        for name in ("tmp", "run", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "run").chmod(0o700)
        here = {"TMPDIR": "tmp", "XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "state"}
        own = {key: str(self.folder / name) for key, name in here.items()}
        return {**os.environ, **own, **self.variables}

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_over(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def tail(self) -> bytes:
        """The last that it said."""
        return self.log.read_bytes()[-_TAIL_BYTES:]

    def job_ids(self) -> frozenset[str]:
        """Of all the jobs that it has submitted so far."""
        return frozenset(found.decode() for found in _SUBMITTED.findall(self.log.read_bytes()))

    @property
    def checkpoints(self) -> Checkpoints:
        """Those of its jobs; others may have theirs beside them."""
        return Checkpoints(Path(self.settings["execution.checkpointing.dir"]), self.job_ids)

    def has_lost_the_last_jobmanager(self) -> bool:
        """It was killed when the job was over already."""
        return self.jobmanager_kills > self.log.read_bytes().count(b"A new one (pid")

    def stop_with_savepoint(self, rng: random.Random) -> bool:
        """`shmflink stop`; afterwards it is to start again from there, with other slots. False where it was refused."""
        folder = self.folder / "savepoints"
        folder.mkdir(exist_ok=True)
        before = set(folder.iterdir())
        newest = self.log.read_bytes()
        ids = _SUBMITTED.findall(newest)
        if not ids:
            return False
        command = [sys.executable, "-c", _MAIN, "stop", ids[-1].decode(), "--savepoint", str(folder)]
        done = subprocess.run(command, capture_output=True, env=self._environment(), timeout=_STOP_S, check=False)
        made = sorted(path for path in folder.iterdir() if path not in before and (path / "_metadata").exists())
        if done.returncode != 0 or not made:
            return False
        self.savepoint = str(made[-1])
        self.slots = rng.choice([count for count in (1, 2, 3, 4) if count != self.slots])
        self.is_rescaled = True
        return True
