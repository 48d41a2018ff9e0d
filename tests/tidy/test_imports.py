"""Imports are the fixed cost of every program and of every process of a cluster."""

from __future__ import annotations

import ast
from pathlib import Path

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
