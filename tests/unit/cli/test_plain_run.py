"""A plain command line is parsed without typer, and has the same meaning."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from shmflink.cli import main as command_line
from shmflink.cli import plain_run
from shmflink.cli import run as run_command
from shmflink.cli.arguments import OPTIONS, arranged


@pytest.fixture
def job(tmp_path: Path) -> str:
    file = tmp_path / "job.py"
    file.write_text("")
    return str(file)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been run: by either way."""
    calls: list[Any] = []

    def record(invocation: Any, summary: str | None, *, verbose: bool, detached: bool, emit: str | None) -> int:
        calls.append((invocation, summary, verbose, detached, emit))
        return 7

    monkeypatch.setattr(run_command, "run_job", record)
    return calls


def by_typer(words: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        command_line.app(args=arranged(words))
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    "words",
    [
        ["JOB"],
        ["JOB", "--slots", "2", "-p", "3", "--input", "x", "-s", "theirs"],
        ["-p4", "JOB", "-Dparallelism.default=9"],
        ["-D", "parallelism.default=1", "-Dparallelism.default=2", "JOB"],
        ["--slots=2", "JOB", "--", "--slots", "3"],
        ["-v", "--json", "JOB"],
        ["--json", "out.json", "JOB", "-v"],
        ["-py", "JOB", "word"],
        ["-s", "/tmp/savepoint", "-n", "-cm", "claim", "--trust-pickled-state", "JOB"],
        ["--fromSavepoint", "file:///s", "--restoreMode=NO_CLAIM", "JOB"],
        ["-pyfs", "a.zip", "-pyreq", "r.txt", "-pyarch", "a.zip", "-pyexec", sys.executable, "JOB"],
        ["-pyclientexec", sys.executable, "JOB"],
        ["-t", "remote", "-d", "JOB", "-d"],
        ["-m", "team", "JOB", "-m", "theirs"],
        ["-t", "flink", "-m", "host:8081", "--flink-python", "/p/bin/python", "--emit", "kept.py", "JOB"],
        ["JOB", "--pyflink"],
    ],
)
def test_the_same_as_by_typer(words: list[str], job: str, ran: list[Any]) -> None:
    words = ["run", *(job if word == "JOB" else word for word in words)]
    plainly = plain_run.plain_run(words)
    assert plainly is not None
    assert plainly() == 7
    assert by_typer(words) == 7
    assert ran[0] == ran[1]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["absent.py"],
        ["--help"],
        ["JOB", "--help"],
        ["--slots", "0", "JOB"],
        ["--slots", "two", "JOB"],
        ["-p", "-1", "JOB"],
        ["JOB", "--slots"],
        ["-D", "nonsense", "JOB"],
        ["-D", "no.such.option=1", "JOB"],
        ["--config", "absent.yaml", "JOB"],
        ["-n", "JOB"],
        ["-t", "cloud", "JOB"],
        ["-t", "local", "-m", "team", "JOB"],
        ["-t", "flink", "-m", "host", "JOB"],
        ["-s", "p", "-cm", "maybe", "JOB"],
        ["-pym", "absent_module"],
        ["JOB", "-D"],
    ],
)
def test_what_needs_words_of_explanation_is_left_to_typer(
    words: list[str], job: str, ran: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", *(job if word == "JOB" else word for word in words)]
    assert plain_run.plain_run(words) is None
    assert by_typer(words) == (0 if "--help" in words else 2)
    assert not ran
    captured = capsys.readouterr()
    assert captured.out or captured.err


def test_the_tables_name_the_same_options() -> None:
    declared = {
        option: name
        for name, parameter in inspect.signature(command_line.run, eval_str=True).parameters.items()
        for annotation in getattr(parameter.annotation, "__metadata__", ())
        if isinstance(annotation, typer.models.OptionInfo)
        for option in (annotation.default, *(annotation.param_decls or ()))  # in Annotated, the first is the default
        if isinstance(option, str)
    }
    left = {"-pym", "--pyModule"}
    assert {option: name for option, name in declared.items() if option not in left} == dict(plain_run.PARAMETERS)
    assert set(OPTIONS["run"]) - {"--help"} == set(plain_run.PARAMETERS) | left


def test_typer_is_not_imported_for_it(tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text("import sys\nprint('typer' in sys.modules, 'rich' in sys.modules)\n")
    program = "from shmflink.cli.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "run", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr
