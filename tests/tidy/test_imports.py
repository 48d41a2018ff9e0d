"""Imports are the fixed cost of every program and of every process of a cluster."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
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


def test_slow_parts_of_pyarrow_are_imported_when_they_are_used() -> None:
    slow = {"compute", "dataset", "fs", "parquet"}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: from shmflink.core.lazy_imports import pc, pq or arrow_fs"
        for path in sources()
        if path.name != "lazy_imports.py" and "shmflink/cli" not in str(path)
        for node in ast.parse(path.read_text()).body
        if (isinstance(node, ast.Import) and any(name.name.partition("pyarrow.")[2] in slow for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").partition("pyarrow.")[2] in slow)
        or (isinstance(node, ast.ImportFrom) and node.module == "pyarrow" and {a.name for a in node.names} & slow)
    ]
    assert not wrong, "\n".join(wrong)


NEVER = ("asyncio", "dataset", "numpy.random", "pandas", "polars", "rich", "typer", "uvloop", "yaml")
SLOW = (*NEVER, "hashlib", "pyarrow.compute", "pyarrow.fs", "pyarrow.parquet", "subprocess")
BARE = (*SLOW, "cloudpickle", "numpy", "orjson", "pyarrow")

BUDGETS = {  # modules beyond those of a bare interpreter: pyarrow alone is 175; what must not be among them
    "import shmflink": (4, BARE),
    "import shmflink.datastream": (40, BARE),
    "import shmflink.common": (40, BARE),
    "import shmflink.expressions": (40, BARE),
    "import shmflink.datastream.formats": (40, BARE),
    "import shmflink.cli.entry": (60, BARE),
    "import shmflink.table": (215, SLOW),
    "import shmflink.datastream.state": (245, SLOW),
    "import shmflink.datastream.window": (285, SLOW),
    "import shmflink.datastream.functions": (300, SLOW),
    "import shmflink.datastream.connectors": (375, NEVER),
    "import shmflink.state_processor": (335, SLOW),
    "import shmflink.testing": (570, ()),
    "from shmflink.common import Types, WatermarkStrategy": (215, SLOW),
    "from shmflink.expressions import col": (260, SLOW),
    "from shmflink.datastream import StreamExecutionEnvironment": (485, SLOW),
    "import shmflink.cli.plain_run, shmflink.cli.run": (325, SLOW),
    "import shmflink.taskmanager.process": (375, SLOW),
    "import shmflink.jobmanager.jobmanager": (435, ("typer", "rich", "pandas", "pyarrow.compute", "pyarrow.parquet")),
}


@pytest.mark.parametrize("statement", BUDGETS)
def test_budgets(statement: str) -> None:
    """In modules, because times depend on the machine. Something new is in the list of the message."""
    budget, banned = BUDGETS[statement]
    program = f"import sys; before = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert not set(banned) & set(modules), "import it where it is used"
    assert len(modules) <= budget, f"{len(modules)} modules: import what few programs use in functions: {modules}"
