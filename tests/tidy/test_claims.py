"""Claims of the code about itself: tests raise every error class, and public names are documented."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shmflink import errors
from tests.tidy.guides import GUIDES, public_modules

TESTS = Path(__file__).resolve().parents[1]


@cache
def expected_errors() -> frozenset[str]:
    """Classes that some test waits for: in `pytest.raises(...)`, or in a list of cases that it gets them from."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found.update(_names(node) if _expects(node) else ())
    return frozenset(found)


def _expects(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and next(_names(node.func), "") in ("raises", "parametrize")


def _names(node: ast.AST) -> Iterator[str]:
    for below in ast.walk(node):
        if isinstance(below, ast.Attribute):
            yield below.attr
        elif isinstance(below, ast.Name):
            yield below.id


@pytest.mark.parametrize("name", [name for name in errors.__all__ if not getattr(errors, name).__subclasses__()])
def test_every_kind_of_error_is_raised_by_some_test(name: str) -> None:
    assert name in expected_errors(), f"no test has pytest.raises({name}): raise it in one"


def test_the_tree_of_errors_is_the_classes_that_there_are() -> None:
    """The drawing at the top of `errors.py` has every class, below the class that it inherits from."""
    drawn = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), "")
        if line.startswith("    ") and name:
            depth = line.index(name)
            above = [known for known in above if known[0] < depth]
            drawn[name] = above[-1][1] if above else "Exception"
            above.append((depth, name))
    assert drawn == {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}


@pytest.mark.parametrize("name", public_modules())
def test_every_public_name_is_documented_and_on_the_page(name: str) -> None:
    module = importlib.import_module(name)
    described = {item: getattr(module, item) for item in module.__all__}
    silent = [
        item
        for item, value in described.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and not inspect.getdoc(value)
    ]
    assert not silent, f"{name}: say in a docstring what {silent} are"
    page = (GUIDES / "names.md").read_text().partition(f"## `{name}`\n")[2].partition("\n## ")[0]
    missing = [item for item in described if f"| `{item}` |" not in page]
    assert not missing, f"{name}: {missing} are not in examples/guides/names.md: run `python -m tests.tidy.guides`"
