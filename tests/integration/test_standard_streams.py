"""Closed or unread standard input, output and error: the job still completes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PYTHON = f"{sys.executable} "
SHMFLINK = f"{sys.executable} -c 'from shmflink.cli.entry import main; main()' run "
JOB = """
    import sys
    from shmflink.common import Encoder
    from shmflink.datastream import StreamExecutionEnvironment
    from shmflink.datastream.connectors.file_system import FileSink

    def shown(x):
        print("seen", x)
        return str(x)

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.enable_checkpointing(50)
    numbers = env.from_collection(list(range(3000)))
    numbers.print()
    sink = FileSink.for_row_format(sys.argv[1], Encoder.simple_string_encoder())
    numbers.map(shown).sink_to(sink.build())
    env.execute("numbers")
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "job.py"
    path.write_text(textwrap.dedent(JOB))
    return f"{path} {tmp_path}/out"


def _run(line: str) -> subprocess.CompletedProcess[str]:
    """Through a shell, as a user types it; the exit code is that of the first command."""
    script = f"{line}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=240)


def _written(folder: Path) -> list[int]:
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    return sorted(int(line) for path in files for line in path.read_text().split())


@pytest.mark.parametrize("command", [PYTHON, SHMFLINK], ids=["python", "shmflink run"])
@pytest.mark.parametrize(
    "streams",
    [
        ">&-",
        "2>&-",
        ">&- 2>&-",
        "<&-",
        "<&- >&- 2>&-",
        "| head -n 1",
        "2>&1 | head -n 1",
        "| true",
        "2>&1 | true",
    ],
)
def test_closed_and_unread_streams_neither_fail_nor_stop_the_job(tmp_path, job, command, streams):
    done = _run(f"{command} {job} {streams}")
    assert done.returncode == 0, done.stderr
    assert _written(tmp_path) == list(range(3000)), "and nothing that was printed is in a file of the job"
    if streams in ("2>&-", "<&-"):
        printed = done.stdout.splitlines()
        assert sorted(int(line) for line in printed if line.isdigit()) == list(range(3000))
        assert sum(line.startswith("seen ") for line in printed) == 3000
    assert "Traceback" not in done.stderr


def test_it_is_said_that_nobody_reads_what_is_printed(tmp_path):
    """The reader is gone before the job prints; the job ends when that was said."""
    path = tmp_path / "job.py"
    path.write_text(
        textwrap.dedent(
            """
            import threading
            from shmflink.client import observer
            from shmflink.common import WatermarkStrategy
            from shmflink.datastream import StreamExecutionEnvironment
            from shmflink.datastream.connectors.number_seq import NumberSequenceSource

            said = threading.Event()
            says = observer.TextObserver.cluster_says
            observer.TextObserver.cluster_says = lambda self, text: (says(self, text), said.set())
            env = StreamExecutionEnvironment.get_execution_environment()
            source = NumberSequenceSource(0, 10**12)
            env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").set_parallelism(1).print()
            client = env.execute_async("endless")
            assert said.wait(120)
            client.cancel().result()
            """
        )
    )
    done = _run(f"{PYTHON} {path} | head -n 1")
    assert (done.returncode, done.stdout) == (0, "1> 0\n") or done.stdout.startswith(("0", "2> "))
    assert "Standard output was closed by its reader: what jobs print is discarded" in done.stderr
