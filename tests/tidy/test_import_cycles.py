"""No module imports itself through others, lazily and for type checks included: a module can be read, tested and moved
after those below it.

A package's `__init__` counts as a module of its own: what it re-exports may import its siblings.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules() -> dict[str, Path]:
    files = [*(ROOT / "shmflink").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    return {name_of(path.relative_to(ROOT)): path for path in files}


def name_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    parts = ("shmflink", *parts) if parts[0] == "cli" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(name: str, path: Path) -> Iterator[str]:
    """Dotted names, wherever in the file they are imported: each may be a module, or a name in one."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def graph_of(files: dict[str, Path]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found = {target if target in files else target.rpartition(".")[0] for target in imports_of(name, path)}
        graph[name] = {target for target in found if target in files and target != name}
    return graph


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """One cycle, each module imported by the next; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def test_no_cycle_of_imports() -> None:
    cycle = cycle_in(graph_of(modules()))
    assert not cycle, f"each imports the one before it: {' -> '.join(cycle)}: move what both need below them"


@pytest.mark.parametrize(
    "text",
    ["import shmflink.b", "from shmflink import b", "from shmflink.b import x",
     "def f():\n    from shmflink.b import x",
     "if TYPE_CHECKING:\n    from shmflink.b import x", "from . import b", "from .b import x"],
)  # fmt: skip
def test_every_form_of_import_is_seen(tmp_path: Path, text: str) -> None:
    files = {"shmflink.a": tmp_path / "a.py", "shmflink.b": tmp_path / "b.py"}
    files["shmflink.a"].write_text(text)
    files["shmflink.b"].write_text("from shmflink.a import y")
    assert set(cycle_in(graph_of(files))) == {"shmflink.a", "shmflink.b"}
