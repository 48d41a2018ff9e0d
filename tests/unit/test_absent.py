"""Every public name of PyFlink's DataStream API exists, or its use raises an error that says why not and what to
use.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.absent import ABSENT, why_absent

NAMES = (Path(__file__).parent / "pyflink_names.txt").read_text().splitlines()
"""`module class method...` of PyFlink 2.3; the class `(module)` stands for functions of the module."""

JAVA = ("get_java_", "to_j_")  # PyFlink's way to Java's objects


def lines() -> Iterator[tuple[str, str, list[str]]]:
    for line in NAMES:
        module, owner, *methods = line.split()
        yield module, owner, methods


def found(path: str) -> Any:
    """What `shmflink.path` is; the error where it is not here."""
    module, *names = path.split(":")
    try:
        here: Any = importlib.import_module(f"shmflink.{module}")
        for name in names:
            here = getattr(here, name)
    except (ImportError, AttributeError) as error:
        return error
    return here


@pytest.mark.parametrize(("module", "owner", "methods"), list(lines()), ids=lambda part: str(part)[:40])
def test_a_name_of_pyflinks_is_here_or_says_why_not(module: str, owner: str, methods: list[str]) -> None:
    path = module if owner == "(module)" else f"{module}.{owner}"
    here = found(":".join([module, *path.removeprefix(module).split(".")[1:]]))
    if isinstance(here, AttributeError):
        assert why_absent(path), here
        return
    if isinstance(here, ImportError):
        assert "of PyFlink is not available here: " in str(here), here
        assert str(why_absent(path)) in str(here)
        return
    missing = [name for name in methods if not hasattr(here, name) and not name.startswith(JAVA)]
    unsaid = {name for name in missing if why_absent(f"{path}.{name}") is None}
    assert unsaid <= set(getattr(here, "MISSING", ())), f"{path} lacks {unsaid}: add them, or say why not"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("from shmflink.datastream.connectors.kafka import KafkaSource", "Kafka: not in this version; read files"),
        ("from shmflink.datastream.connectors import FlinkKafkaConsumer", "Kafka: not in this version; read files"),
        ("import shmflink.table.expressions", "Table API and SQL: not in this version"),
        ("from shmflink.table import StreamTableEnvironment", "Table API and SQL: not in this version"),
        ("from shmflink.datastream.connectors.elasticsearch import ElasticsearchSink", "Elasticsearch: not in this"),
        ("from shmflink.java_gateway import get_gateway", "there is no JVM here"),
    ],
)
def test_an_import_of_what_is_not_here_says_what_there_is(statement: str, reason: str) -> None:
    with pytest.raises(ImportError, match=reason):
        exec(statement)


def test_other_names_are_as_unknown_as_ever() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'shmflink\.nonsense'"):
        importlib.import_module("shmflink.nonsense")
    with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
        exec("from shmflink.datastream import Nonsense")
    assert not hasattr(importlib.import_module("shmflink.datastream"), "nonsense")


def test_the_first_import_of_a_program_says_so_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import shmflink.table.udf"], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith(
        "ModuleNotFoundError: shmflink.table.udf of PyFlink is not available here: Table"
    )


def test_what_is_called_absent_is_absent() -> None:
    for path in ABSENT:
        module, _, name = path.rpartition(".")
        is_module = isinstance(found(path), ImportError | AttributeError)
        assert is_module or path.endswith(".") or path == "table" or not hasattr(found(module), name), path
