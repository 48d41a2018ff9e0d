"""Lengths of functions, and how many methods classes have: `python -m tests.tidy.lengths` prints the longest."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.tidy.guides import public_modules

__all__ = ["function_lengths", "main", "method_counts", "percentile", "public_classes"]

ROOT: Final = Path(__file__).resolve().parents[2]
_SHOWN: Final = 40


def trees() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("shmflink", "cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def function_lengths() -> list[tuple[int, str]]:
    """Lines of every function, with its documentation, and where it is; shortest first."""
    return sorted(
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{path}:{node.name}")
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def percentile(lengths: list[tuple[int, str]], fraction: float) -> int:
    return lengths[int(len(lengths) * fraction)][0]


def method_counts() -> list[tuple[int, str]]:
    """Methods of every class that is no part of the public API; fewest first."""
    public = public_classes()
    return sorted(
        (sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body), f"{path}:{node.name}")
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and f"{path}:{node.name}" not in public
    )


def public_classes() -> set[str]:
    """`file:name` of the classes that programs import, and of those that these inherit methods from."""
    found = set()
    for module in map(importlib.import_module, public_modules()):
        for member in (getattr(module, name) for name in module.__all__):
            for kind in member.__mro__ if isinstance(member, type) else ():
                found.add(f"{kind.__module__.replace('.', '/')}.py:{kind.__name__}")
    return found


def main() -> None:
    lengths = function_lengths()
    print(f"functions: {len(lengths)}, median {percentile(lengths, 0.5)}, p95 {percentile(lengths, 0.95)} lines")
    print(*(f"{lines:5} {place}" for lines, place in lengths[-_SHOWN:]), sep="\n")
    print("classes outside the public API, by methods")
    print(*(f"{count:5} {place}" for count, place in method_counts()[-_SHOWN:]), sep="\n")


if __name__ == "__main__":
    main()
