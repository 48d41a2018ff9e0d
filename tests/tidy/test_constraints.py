"""A fresh clone installs versions that were tested: every requirement is pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = "configs/constraints.txt"


def pins() -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / CONSTRAINTS).read_text().splitlines())
    return dict(re.fullmatch(r"([\w.-]+)==(\S+)", line).groups() for line in lines if line)  # type: ignore[union-attr, misc]  # a line of another form fails here


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_has_a_tested_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    tested = {canonical(name): version for name, version in pins().items()}
    for requirement in map(Requirement, wanted):
        if requirement.name == project["name"]:
            continue
        version = tested.get(canonical(requirement.name))
        assert version is not None, f"{requirement.name} of pyproject.toml has no line in {CONSTRAINTS}"
        assert version in requirement.specifier, (
            f"{CONSTRAINTS}: {requirement.name} {version} is not {requirement.specifier}"
        )


def test_the_readme_installs_the_tested_versions() -> None:
    commands = [
        line
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith((".venv/bin/pip", "python3 -m venv"))
    ]
    assert commands
    for command in commands:
        assert f"-c {CONSTRAINTS}" in command, command
