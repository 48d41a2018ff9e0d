"""Where Flink is searched, and the messages if it or Java is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.client import flink_environment
from shmflink.errors import UsageError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)


def java(folder: Path, version: str) -> Path:
    """A `java` that says this version as the real one does."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_absent_it_names_the_command() -> None:
    assert flink_environment.find_python() is None
    assert flink_environment.missing() == "Apache Flink is not installed: shmflink flink setup"


def test_the_environment_that_was_set_up_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = tmp_path / "elsewhere"
    (environment / "lib" / "python3.11" / "site-packages" / "pyflink").mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").touch()
    pointer = tmp_path / "cache" / "shmflink" / "flink-environment"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(f"{environment}\n", encoding="utf-8")
    java(tmp_path / "jdk", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert flink_environment.find_python() == environment / "bin" / "python"
    assert flink_environment.missing() is None


@pytest.mark.parametrize(("version", "said"), [("1.8.0_402", "is version 1"), ("11.0.2", "is version 11")])
def test_an_old_java_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, said: str
) -> None:
    java(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    problem = flink_environment.java_problem()
    assert problem is not None
    assert said in problem
    assert "openjdk-17-jre-headless" in problem


def test_without_java_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no Java found"):
        flink_environment.set_up(tmp_path / "flink")
    assert not (tmp_path / "flink").exists()
