"""The catalog of failures in tests/README.md agrees with the tests that name its entries."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ENTRIES = {"M": 23, "P": 22, "C": 22, "E": 13, "S": 13, "T": 10, "U": 14}


def listed() -> dict[str, str]:
    rows = re.findall(r"^\| ([MPCESTU]\d+) \|.*\| (.*) \|$", (TESTS / "README.md").read_text(), re.MULTILINE)
    return dict(rows)


def tagged(name: str) -> set[str]:
    """Entries that a test file names, by its path as the README has it."""
    folder, _, file = name.rpartition("/")
    return set(re.findall(r"\[([A-Z]\d+)\]", (TESTS / folder / f"test_{file}.py").read_text()))


def test_every_entry_has_a_test_or_a_reason() -> None:
    wanted = {f"{group}{number}" for group, count in ENTRIES.items() for number in range(1, count + 1)}
    missing = wanted - set(listed())
    assert not missing, f"tests/README.md does not say which test covers {sorted(missing)}, or why none does"
    empty = [entry for entry, where in listed().items() if where in ("", "*no test*: ")]
    assert not empty, f"{empty}: neither a test nor a reason"


def test_tests_that_are_named_say_so_themselves() -> None:
    named = {entry: re.findall(r"`([a-z_]+/[a-z_/]+)`", where) for entry, where in listed().items()}
    wrong = [(entry, name) for entry, names in named.items() for name in names if entry not in tagged(name)]
    assert not wrong, f"{wrong}: no docstring of that test has the entry in square brackets"


def test_what_tests_cover_is_not_listed_as_uncovered() -> None:
    without = {entry for entry, where in listed().items() if where.startswith("*no test*")}
    found = {(entry, path.name) for path in TESTS.rglob("test_*.py") for entry in _tags(path) if entry in without}
    assert not found, f"{sorted(found)}: tests/README.md says that no test covers it"


def _tags(path: Path) -> set[str]:
    return set(re.findall(r"\[([MPCESTU]\d+)\]", path.read_text()))
