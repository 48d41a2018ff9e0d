"""The end of `shmflink run`: everything that a program relies on at exit happens, in Python's order."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

SHMFLINK = [sys.executable, "-c", "from shmflink.cli.entry import main; main()", "run"]


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    file = folder / "job.py"
    file.write_text(textwrap.dedent(program))
    return subprocess.run([*SHMFLINK, str(file)], cwd=folder, capture_output=True, text=True, check=False)


def test_threads_exit_functions_finalizers_and_open_files(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("kept = open('kept', 'w')\nkept.write('kept open')\n")
    done = run(
        tmp_path,
        """
        import atexit, sys, threading, weakref
        import other

        class Last:
            def __del__(self):
                print("finalized")

        class Tracked:
            pass

        left = Last()
        tracked = Tracked()
        weakref.finalize(tracked, print, "weakly finalized")
        atexit.register(print, "at exit")
        text = open("text", "w")
        text.write("some text")
        raw = open("raw", "wb")
        raw.write(b"some bytes")
        gate = threading.Event()

        def late():
            gate.wait()
            print("the thread is done")

        threading.Thread(target=late).start()
        gate.set()
        """,
    )
    assert done.returncode == 0, done.stderr
    first, *rest, last = done.stdout.splitlines()
    assert (first, sorted(rest), last) == ("the thread is done", ["at exit", "weakly finalized"], "finalized")
    assert (tmp_path / "text").read_text() == "some text"
    assert (tmp_path / "raw").read_bytes() == b"some bytes"
    assert (tmp_path / "kept").read_text() == "kept open"


def test_modules_of_the_program_are_finalized_as_its_file_is(tmp_path: Path) -> None:
    """These two write their ends when they are finalized."""
    (tmp_path / "other.py").write_text(
        "import gzip, zipfile\ntext = gzip.open('text.gz', 'wt')\nfiles = zipfile.ZipFile('files.zip', 'w')\n"
    )
    done = run(tmp_path, "import other\nother.text.write('some text')\nother.files.writestr('a', 'some bytes')\n")
    assert (done.returncode, done.stderr) == (0, "")
    with gzip.open(tmp_path / "text.gz", "rt") as text:
        assert text.read() == "some text"
    with zipfile.ZipFile(tmp_path / "files.zip") as files:
        assert files.read("a") == b"some bytes"


def test_functions_that_outlive_their_module_keep_its_names(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "import sys\n\nNAMES = {'once'}\n\ndef hook(event, arguments):\n"
        "    if event == 'open' and 'none' in NAMES:\n        raise AssertionError\n\nsys.addaudithook(hook)\n"
    )
    done = run(tmp_path, "import other\nleft = open('left', 'w')\nleft.write('some text')\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "left").read_text() == "some text"


def test_exit_codes_and_texts(tmp_path: Path) -> None:
    assert run(tmp_path, "raise SystemExit(3)").returncode == 3
    assert run(tmp_path, "raise SystemExit(256 + 4)").returncode == 4
    told = run(tmp_path, "raise SystemExit('it is so')")
    assert (told.returncode, told.stderr.strip()) == (1, "it is so")
    failed = run(tmp_path, "1 / 0")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr
