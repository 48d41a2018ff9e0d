"""Style that runs. Each message names file, line and remedy."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "shmflink"

# Imports point down this list only; packages on one line never import each other (DESIGN: layers).
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("testing",),
    ("datastream", "common", "table", "state_processor"),
    ("client",),
    ("rest",),
    ("jobmanager", "taskmanager"),
    ("jobmachine",),
    ("rpc",),
    ("planner", "flinktarget"),
    ("graph",),
    ("plan",),
    ("checkpoint", "connectors"),
    ("operators",),
    ("state", "network"),
    ("config", "metrics"),
    ("expressions",),
    ("core",),
    ("errors", "_core", "absent", "pyflink_names"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 600
LONG_FUNCTIONS: frozenset[str] = frozenset()  # may only shrink
LONG_FILES: frozenset[str] = frozenset()  # may only shrink


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def sources() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *(ROOT / "cli").rglob("*.py")])


def layer_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    if relative.parts[0] == "cli":
        return "cli"
    return relative.parts[1].removesuffix(".py")


def imported_layers(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module]
            if node.module == "shmflink":
                names = [f"shmflink.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "shmflink" and len(parts) > 1 and parts[1] in RANK:
                yield node.lineno, parts[1]


def test_imports_point_down() -> None:
    wrong = []
    for path in sources():
        here = layer_of(path)
        if here not in RANK:
            continue  # shmflink/__init__.py imports nothing, and is checked below
        for line, there in imported_layers(path):
            if there != here and RANK[there] <= RANK[here]:
                place = f"{path.relative_to(ROOT)}:{line}"
                wrong.append(f"{place}: {here} must not import {there}: take a value or a callback")
    assert not wrong, "\n".join(wrong)


def test_operators_know_state_by_its_protocol() -> None:
    """`state.factory` chooses the backend: an operator that names one would keep others out."""
    problems = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()!r} goes around state/protocol.py"
        for path in (PACKAGE / "operators").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\bHeap[A-Z]\w*|state\.(heap_\w+|timers)\b|\.(live|below)\b", line)
    ]
    assert not problems, "\n".join(problems)


def test_state_machines_import_nothing_that_acts() -> None:
    """They decide; whoever owns them acts. Time and random numbers are arguments."""
    acting = {"asyncio", "fcntl", "multiprocessing", "os", "pathlib", "select", "signal", "socket", "subprocess"}
    acting |= {"tempfile", "threading", "time", "concurrent"}
    machines = [*(PACKAGE / "jobmachine").glob("*.py"), PACKAGE / "checkpoint" / "coordinator.py"]
    wrong = []
    for path in machines:
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found = acting.intersection(name.split(".")[0] for name in names)
            wrong += [f"{path.relative_to(ROOT)}:{node.lineno}: imports {name}: ask by an effect" for name in found]
            if isinstance(node, ast.Call) and dotted(node.func) in ("open", "print", "random.Random"):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {dotted(node.func)}(): take it as an argument")
    assert not wrong, "\n".join(wrong)


def test_the_root_package_imports_next_to_nothing() -> None:
    def imported(file: str) -> set[str | None]:
        nodes = list(ast.walk(tree(PACKAGE / file)))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}

    typed = {"collections.abc", "typing"}
    assert imported("__init__.py") == {"shmflink.absent"}, (
        "`shmflink --help` pays for every import of shmflink/__init__.py"
    )
    assert imported("absent.py") - typed == {"__future__", "sys"}, (
        "`shmflink --help` pays for every import of absent.py"
    )


BANNED = {
    "time.time": "use core.clock",
    "time.sleep": "wait for a condition, or on a doorbell",
    "random.random": "take a seeded generator as an argument",
    "pickle.loads": "only core/serialization/codec.py unpickles",
    "cloudpickle.loads": "only core/serialization/codec.py unpickles",
    "asyncio.create_task": "use the task group of the owner",
    "hash": "Python's hash is salted per process: use core.keys.groups",
}
ALLOWED = {("shmflink/core/serialization/codec.py", "pickle.loads")}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def test_banned_calls() -> None:
    wrong = []
    for path in sources():
        relative = str(path.relative_to(ROOT))
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            name = dotted(node.func)
            inside_dunder_hash = name == "hash" and "__hash__" in path.read_text()
            if name in BANNED and (relative, name) not in ALLOWED and not inside_dunder_hash:
                wrong.append(f"{relative}:{node.lineno}: {name}(): {BANNED[name]}")
            if name == "print" and not relative.startswith("cli/"):
                wrong.append(f"{relative}:{node.lineno}: print(): only the command line prints")
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_a_top_level_cli() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: import shmflink.cli, or relatively inside it"
        for path in sources()
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Import) and any(a.name.split(".")[0] == "cli" for a in node.names))
        or (isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "cli")
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_and_files_stay_short() -> None:
    wrong = []
    for path in sources():
        relative = str(path.relative_to(ROOT))
        lines = path.read_text().count("\n")
        if lines > FILE_LINES_MAX and relative not in LONG_FILES:
            wrong.append(f"{relative}: {lines} lines: split it by state or by kind")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX and f"{relative}:{node.name}" not in LONG_FUNCTIONS:
                    wrong.append(f"{relative}:{node.lineno}: {node.name} has {length} lines: branching up, loops down")
    assert not wrong, "\n".join(wrong)


def test_native_files_stay_short() -> None:
    wrong = []
    for path in sorted((PACKAGE / "_native" / "src").rglob("*.rs")):
        code = path.read_text().split("#[cfg(test)]")[0]
        if code.count("\n") > FILE_LINES_MAX:
            wrong.append(f"{path.relative_to(ROOT)}: {code.count(chr(10))} lines without its tests: split it by kind")
    assert not wrong, "\n".join(wrong)


def test_no_graveyards() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|todo!\(|unimplemented!\()")
    files = [*sources(), *(PACKAGE / "_native" / "src").rglob("*.rs")]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_suppressed_rule_says_why() -> None:
    bare = re.compile(r"# noqa(: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*)?\s*$")
    folders = ("shmflink", "cli", "tests", "perf", "examples", "findings")
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: say why behind the rule: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def public_modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(ROOT).with_suffix("")
        if relative.name.startswith("__main__"):
            continue
        names.append(".".join(p for p in relative.parts if p != "__init__"))
    return names


@pytest.mark.parametrize("name", public_modules())
def test_public_means_listed(name: str) -> None:
    module = importlib.import_module(name)
    source = Path(module.__file__ or "")
    defines = any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") for node in tree(source).body
    )
    if not defines:
        return
    listed = getattr(module, "__all__", None)
    assert listed is not None, f"{name}: define __all__"
    missing = [item for item in listed if not hasattr(module, item)]
    assert not missing, f"{name}.__all__ lists what is not there: {missing}"


def test_packages_are_listed_explicitly() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")} | {
        "shmflink.cli",
        "shmflink.configs",
        "shmflink.examples",
    }
    missing, extra = folders - listed, listed - folders
    assert listed == folders, f"pyproject.toml [tool.setuptools] packages: missing {missing}, extra {extra}"


def test_every_module_named_in_the_architecture_page_exists() -> None:
    text = (PACKAGE / "README.md").read_text()
    missing = [
        name
        for name in re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]+\.(?:py|rs))`", text)
        if not (PACKAGE / name).exists() and not (PACKAGE / "_native" / "src" / name).exists()
    ]
    assert not missing, f"shmflink/README.md names files that are not there: {missing}"


def test_top_level_is_what_it_should_be() -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    folders = {"shmflink", "cli", "configs", "examples", "tests", "perf", "findings"}
    allowed = {"pyproject.toml", "README.md", "LICENSE"} | folders
    extra = {name for name in listed if not name.startswith(".")} - allowed
    assert not extra, f"top level has more than it should: {sorted(extra)}"


def test_importing_the_command_is_light() -> None:
    code = "import sys, shmflink.cli.main; print([m for m in ('pyarrow', 'numpy') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == "[]", f"`shmflink --help` must not load {loaded}"
