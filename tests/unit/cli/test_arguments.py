"""Which arguments belong to shmflink, and which to the job."""

from __future__ import annotations

import pytest
import typer

from shmflink.cli.arguments import OPTIONS, arranged
from shmflink.cli.main import app


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("run job.py", "run -- job.py"),
        ("run --slots 2 job.py -p 4 --input x", "run --slots 2 -p 4 -- job.py --input x"),
        ("run job.py --input x --slots=2 y", "run --slots=2 -- job.py --input x y"),
        ("run job.py a -- --slots 9 -- b", "run -- job.py a --slots 9 -- b"),
        ("run job.py -input x -python 3", "run -- job.py -input x -python 3"),
        ("run -Da=b -p4 job.py -px -D", "run -D a=b -p 4 -D -- job.py -px"),
        ("run -py job.py a b", "run -py job.py -- a b"),
        ("run --json job.py", "run --json=- -- job.py"),
        ("run job.py --json out.json", "run --json=out.json -- job.py"),
        ("run job.py --json=x", "run --json=x -- job.py"),
        ("run --json - job.py -v", "run --json=- -v -- job.py"),
        ("info job.py --json x", "info --json -- job.py x"),
        ("info job.py -v", "info -- job.py -v"),
        ("version --x", "version --x"),
        ("--help", "--help"),
        ("run --help", "run --help --"),
        ("run", "run --"),
        ("", ""),
    ],
)
def test_arranged(given, expected):
    assert arranged(given.split()) == expected.split()


@pytest.mark.parametrize("command", ["run", "info"])
def test_every_option_of_a_command_is_known(command):
    declared = {
        name
        for parameter in typer.main.get_command(app).commands[command].params
        if parameter.param_type_name == "option"
        for name in parameter.opts
    }
    assert set(OPTIONS[command]) - {"--help"} == declared - {"--help"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("stop JOB --savepoint", "stop JOB --savepoint="),
        ("stop --savepoint JOB", "stop --savepoint= JOB"),
        ("stop --savepoint DIR JOB", "stop --savepoint=DIR JOB"),
        ("stop JOB --savepoint DIR --drain", "stop JOB --savepoint=DIR --drain"),
        ("stop JOB --savepoint --drain", "stop JOB --savepoint= --drain"),
        ("stop -p DIR -d JOB", "stop --savepointPath=DIR -d JOB"),
        ("stop -d JOB", "stop -d JOB"),
        ("cancel -s JOB", "cancel --withSavepoint= JOB"),
        ("cancel -s DIR JOB", "cancel --withSavepoint=DIR JOB"),
        ("savepoint JOB DIR", "savepoint JOB DIR"),
        ("list -s", "list -s"),
    ],
)
def test_values_that_may_be_left_out(given: str, expected: str) -> None:
    assert arranged(given.split()) == expected.split()


def test_letters_that_jobs_use_too_are_ours_before_the_file_alone() -> None:
    given = "run -s PATH -n job.py -s 1 -n 2 --claim-mode claim"
    assert arranged(given.split()) == "run -s PATH -n --claim-mode claim -- job.py -s 1 -n 2".split()
