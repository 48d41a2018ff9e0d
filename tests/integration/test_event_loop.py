"""The event loop of a JobManager waits for no disk: a job with an HA directory, checkpoints and a savepoint, watched by
an audit hook that names every call of its thread that opens, lists, renames, locks or syncs a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WAIT_S = 120
PROGRAM = (sys.executable, "-c", "from shmflink.cli.entry import main; main()")

HOOK = """
import os, sys

WATCHED = {
    "open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate",
    "os.utime", "fcntl.flock", "fcntl.lockf", "shutil.rmtree",
}
NO_DISK = ("/proc/", "/sys/", "/dev/")
log = os.open(os.environ["LOOP_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def in_loop():
    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", lambda: None)
    return running() is not None


def note(what):
    frame, where = sys._getframe(1), []
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return  # user code may need a module
        where.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    ours = [line for line in where if "/shmflink/" in line][:4]
    os.write(log, f"{what} in {' < '.join(ours)}\\n".encode())


def hook(event, arguments):
    if event not in WATCHED or not in_loop():
        return
    path = os.fsdecode(arguments[0]) if arguments and isinstance(arguments[0], (str, bytes)) else ""
    if not path.startswith(NO_DISK):
        note(f"{event} {arguments!r}")


def synced(name):
    call = getattr(os, name)

    def sync(fd):
        if in_loop():
            note(name)
        return call(fd)

    setattr(os, name, sync)


sys.addaudithook(hook)
synced("fsync")
synced("fdatasync")
"""

JOB = """
import sys

from shmflink.common import Configuration
from shmflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
env.from_collection(range(20_000)).map(lambda number: number + 1).print()
client = env.execute_async("counts")
client.trigger_savepoint(sys.argv[1])
client.get_job_execution_result().result()
"""


def run(tmp_path: Path) -> str:
    """What the loop's thread did, while a job ran to its end."""
    (tmp_path / "hook").mkdir(exist_ok=True)
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    (tmp_path / "job.py").write_text(JOB)
    calls = tmp_path / "calls"
    calls.touch()
    environment = {
        **os.environ,
        "LOOP_CALLS": str(calls),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path / "hook"), os.environ.get("PYTHONPATH")))),
    }
    options = {
        "high-availability.type": "filesystem",
        "high-availability.storageDir": f"{tmp_path}/ha",
        "execution.checkpointing.interval": "10 ms",
        "execution.checkpointing.dir": f"{tmp_path}/checkpoints",
    }
    given = [text for key, value in options.items() for text in ("-D", f"{key}={value}")]
    command = [*PROGRAM, "run", *given, "--slots", "2", str(tmp_path / "job.py")]
    done = subprocess.run(
        [*command, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sum(line.strip().rpartition("> ")[2].isdigit() for line in done.stdout.splitlines()) == 20_000
    return calls.read_text()


def test_the_event_loop_opens_lists_renames_locks_and_syncs_no_file(tmp_path: Path) -> None:
    assert run(tmp_path) == ""
