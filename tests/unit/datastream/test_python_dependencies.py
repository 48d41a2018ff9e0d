"""Modules, requirements and archives of a job; pip installs from a folder of the test."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.common import Configuration
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.python_dependencies import PythonDependencies
from shmflink.errors import ConfigurationError
from shmflink.testing import MiniCluster


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamExecutionEnvironment]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    with MiniCluster(slots=1):
        yield StreamExecutionEnvironment.get_execution_environment()


def wheel(folder: Path, value: int) -> None:
    """A package `brought_along` with one number in it."""
    folder.mkdir(exist_ok=True)
    info = f"brought_along-{value}.0.dist-info"
    with zipfile.ZipFile(folder / f"brought_along-{value}.0-py3-none-any.whl", "w") as file:
        file.writestr("brought_along.py", f"value = {value}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: brought_along\nVersion: {value}.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


def plus_requirement(number: int) -> int:
    import brought_along

    return number + int(brought_along.value)


def plus_data(number: int) -> int:
    return number + int(Path("data/number.txt").read_text())


def test_requirements_are_installed_once_for_each_content(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", 5)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("brought_along==5.0\n")
    env.set_python_requirements(str(requirements), str(tmp_path / "wheels"))
    assert list(env.from_collection([1, 2]).map(plus_requirement).execute_and_collect()) == [6, 7]
    folders = os.listdir(tmp_path / "cache" / "shmflink" / "requirements")
    dependencies = PythonDependencies().with_requirements(str(requirements), str(tmp_path / "wheels"))
    assert [os.path.basename(path) for path in dependencies.import_paths()] == folders
    del sys.modules["brought_along"]


def test_a_failing_pip_says_why(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("brought_along==6.0\n")
    (tmp_path / "empty").mkdir()
    env.set_python_requirements(str(requirements), str(tmp_path / "empty"))
    env.from_collection([1]).print()
    with pytest.raises(
        ConfigurationError, match=r"cannot install the requirements of .*pip says:\n.*brought_along==6.0"
    ):
        env.execute()


def archives(folder: Path) -> tuple[str, str]:
    """A zip and a tar archive with one number in each."""
    content = folder / "content"
    content.mkdir()
    (content / "number.txt").write_text("10")
    (content / "run.sh").write_text("#!/bin/sh\n")
    (content / "run.sh").chmod(0o755)
    zipped = shutil.make_archive(str(folder / "zipped"), "zip", content)
    with tarfile.open(folder / "tarred.tgz", "w:gz") as file:
        file.add(content / "number.txt", "number.txt")
    return zipped, str(folder / "tarred.tgz")


def test_archives_are_in_the_working_directory_of_functions(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    zipped, tarred = archives(tmp_path)
    env.add_python_archive(zipped, "data")
    env.add_python_archive(tarred)
    before = Path.cwd()
    assert list(env.from_collection([1]).map(plus_data).execute_and_collect()) == [11]
    assert Path.cwd() == before
    folder = Path(
        PythonDependencies().with_archive(zipped, "data").and_those(PythonDependencies()).working_directory() or ""
    )
    assert os.access(folder / "data" / "run.sh", os.X_OK)
    both = PythonDependencies.configured(None, None, f"{zipped}#data,{tarred}").working_directory()
    assert sorted(os.listdir(both)) == ["data", "tarred.tgz"]


def test_the_options_are_the_same(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    (tmp_path / "added.py").write_text("value = 100\n")
    wheel(tmp_path / "wheels", 7)
    (tmp_path / "requirements.txt").write_text("brought_along\n")
    zipped, _ = archives(tmp_path)
    settings = {
        "python.files": str(tmp_path / "added.py"),
        "python.requirements": f"{tmp_path}/requirements.txt#{tmp_path}/wheels",
        "python.archives": f"{zipped}#data",
        "python.executable": sys.executable,
    }
    env.configure(Configuration.from_dict(settings))

    def plus_all(number: int) -> int:
        import added

        return plus_data(plus_requirement(number + added.value))

    assert list(env.from_collection([1]).map(plus_all).execute_and_collect()) == [118]
    del sys.modules["brought_along"], sys.modules["added"]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda env: env.add_python_file("missing.py"), "python file: there is no '.*missing.py'"),
        (lambda env: env.set_python_requirements("missing.txt"), "requirements file: there is no"),
        (lambda env: env.add_python_archive("missing.zip"), "archive: there is no"),
        (lambda env: env.add_python_archive(__file__, "../x"), "cannot unpack it to '../x'"),
        (lambda env: env.register_cached_file("missing", "x"), "there is no 'missing'"),
        (lambda env: env.set_python_executable("/usr/bin/true"), "functions run in the Python that runs the program"),
    ],
)
def test_what_is_refused(env: StreamExecutionEnvironment, call: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        call(env)


def test_a_file_that_is_no_archive_is_an_error(env: StreamExecutionEnvironment) -> None:
    env.add_python_archive(__file__, "data")
    env.from_collection([1]).print()
    with pytest.raises(ConfigurationError, match="neither a zip nor a tar archive"):
        env.execute()


def test_what_changes_nothing_is_taken(env: StreamExecutionEnvironment) -> None:
    env.register_cached_file(__file__, "this")
    env.set_python_executable(sys.executable)
    env.set_default_local_parallelism(8)
    assert env.get_default_local_parallelism() == 8
