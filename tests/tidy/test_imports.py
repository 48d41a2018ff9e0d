"""Imports are the fixed cost of every program and of every process of a cluster."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAZY_DATACLASS = "shmflink/core/lazy_dataclass.py"


def sources() -> list[Path]:
    shipped = [*(ROOT / "shmflink").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    return [path for path in shipped if path.relative_to(ROOT).parts[:2] != ("shmflink", "examples")]


def test_dataclasses_are_compiled_when_they_are_used() -> None:
    """The standard library's cost a third of a millisecond each, in every process that imports the module."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: from shmflink.core.lazy_dataclass import dataclass"
        for path in sources()
        if str(path.relative_to(ROOT)) != LAZY_DATACLASS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module == "dataclasses"
        and any(alias.name == "dataclass" for alias in node.names)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["common", "datastream", "expressions"])
def test_lazy_names_are_those_that_type_checkers_see(name: str) -> None:
    """`_MODULES` is what happens, the imports under TYPE_CHECKING are what editors and mypy know."""
    path = ROOT / "shmflink" / name / "__init__.py"
    declared: dict[str, set[str]] = {}
    for block in ast.parse(path.read_text()).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                assert isinstance(node, ast.ImportFrom)
                assert node.module is not None
                module = node.module.removeprefix(f"shmflink.{name}.")
                declared.setdefault(module, set()).update(alias.name for alias in node.names)
    package = importlib.import_module(f"shmflink.{name}")
    assert {module: set(names) for module, names in package._MODULES.items()} == declared
    assert set(package.__all__) <= set().union(*declared.values())
    assert all(getattr(package, each) is not None for each in package.__all__)
