"""`shmflink run -pym MODULE -pyfs -pyreq -pyarch`: Flink's options for Python dependencies, in real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

JOB = """
from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment

from .functions import enriched

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2], Types.INT()).map(enriched, Types.STRING()).print()
env.execute()
"""
FUNCTIONS = """
from pathlib import Path


def enriched(number):
    import brought_along
    import single

    return f"{number} {brought_along.value} {single.value} {Path('data/text.txt').read_text()}"
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    program = "from shmflink.cli.entry import main; main()"
    command = [sys.executable, "-c", program, "run", "--slots", "1", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_module_with_files_requirements_and_archives(tmp_path: Path) -> None:
    package = tmp_path / "jobs" / "enrich"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(JOB)
    (package / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "single.py").write_text("value = 'file'\n")
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "text.txt").write_text("archive")
    archive = shutil.make_archive(str(tmp_path / "content"), "zip", tmp_path / "content")
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "brought_along-1.0-py3-none-any.whl", "w") as file:
        file.writestr("brought_along.py", "value = 'requirement'\n")
        file.writestr(
            "brought_along-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: brought_along\nVersion: 1.0\n"
        )
        file.writestr(
            "brought_along-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("brought_along-1.0.dist-info/RECORD", "")
    (tmp_path / "requirements.txt").write_text("brought_along\n")
    files = ("-pyfs", f"jobs,{tmp_path}/single.py", "-pyreq", "requirements.txt#wheels", "-pyarch", f"{archive}#data")
    done = run(tmp_path, *files, "-pyexec", sys.executable, "-pym", "enrich.main")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 requirement file archive", "2 requirement file archive"]


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "-pym", "no.such")
    assert done.returncode == 2
    assert "-pym no.such: there is no such module" in " ".join(done.stderr.split())
    done = run(tmp_path, "-pyfs", "missing", "-pym", "x")
    assert done.returncode == 2
    assert "python file: there is no" in " ".join(done.stderr.split())


PYFLINK_JOB = """
import pyflink.datastream.functions as functions
from pyflink import datastream
from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment

import beside


class Named(functions.MapFunction):
    def map(self, value):
        from pyflink.datastream.window import TimeWindow

        return f"{value} {TimeWindow(0, 1).end} {datastream.__name__} {beside.of(value)}"


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
env.from_collection([1], Types.INT()).map(Named(), Types.STRING()).print()
env.execute()
for name in ("table", "nowhere"):
    try:
        __import__(f"pyflink.{name}", fromlist=["TableEnvironment"]).TableEnvironment
    except ImportError as error:
        print(error)
"""


def test_a_program_of_pyflink(tmp_path: Path) -> None:
    """Its modules too, in the TaskManagers; a module that is absent says so by the name that was asked for."""
    (tmp_path / "job.py").write_text(PYFLINK_JOB)
    (tmp_path / "beside.py").write_text("from pyflink.common import Row\n\ndef of(value):\n    return Row(value)\n")
    done = run(tmp_path, "--pyflink", "job.py")
    first, table, nowhere = done.stdout.splitlines()
    assert first == "1 1 shmflink.datastream <Row(1)>"
    assert "Table API and SQL: not in this version" in table
    assert nowhere == "No module named 'pyflink.nowhere'"
    assert "there is no file '--pyflinc'" in run(tmp_path, "--pyflinc", "job.py").stderr
