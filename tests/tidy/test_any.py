"""No public function returns `Any` where its type is known: it would disable type checking of users' programs there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "shmflink"

USERS: Final = "a value of the user's, of any type"
ALLOWED: Final = {
    "checkpoint/reading.py": {"value_of": USERS},
    "core/keys/columns.py": {"value_of_canonical": "a key of the user's"},
    "core/row.py": {"Row.__getitem__": "a field", "Row.__getattr__": "a field"},
    "core/serialization/codec.py": {"loads_trusted": USERS, "loads_value": USERS, "loads_state": USERS},
    "core/serialization/plain_values.py": {"loads_plain": USERS},
    "core/types/conform.py": {"conform_value": USERS, "narrow_value": USERS},
    "core/types/typeinfo.py": {"TypeInformation.conform": USERS, "TypeInformation.to_internal_type": USERS},
    "connectors/file_system/writing/encoders.py": {"OutputFormat.encode": "a form of the format's own"},
    "expressions/vectors.py": {"constant_of": "a constant of the user's", "literal_value": "a constant of the user's"},
    "operators/functions/process_context.py": {"ProcessContext.get_current_key": "a key of the user's"},
    "state/hashable_keys.py": {"key_of_hashable": "a key of the user's"},
    "state/heap_table.py": {f"HeapStateTable.{method}": USERS for method in ("get", "old", "own", "take")},
    "state/protocol.py": {f"StateTable.{method}": USERS for method in ("get", "own", "take")},
    "state/ttl_states.py": {"Expiry.living": USERS},
}
"""File -> name -> what it returns that has no type."""


def returning_any(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Public functions and methods that are annotated with `-> Any`."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from returning_any(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If):
            yield from returning_any([*node.body, *node.orelse], prefix)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_public = not node.name.startswith("_") or node.name.endswith("__")
            if is_public and node.returns is not None and ast.unparse(node.returns) in ("Any", "Any | None"):
                yield prefix + node.name


def test_what_returns_any_has_no_type_of_its_own() -> None:
    found = {
        str(path.relative_to(PACKAGE)): set(returning_any(ast.parse(path.read_text()).body))
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "examples"
    }
    unknown = [f"{file}: {name}" for file, names in found.items() for name in names - ALLOWED.get(file, {}).keys()]
    assert not unknown, (
        f"say what these return (object, a type variable, a protocol), or allow them with a reason: {unknown}"
    )
    typed = [f"{file}: {name}" for file, names in ALLOWED.items() for name in names.keys() - found.get(file, set())]
    assert not typed, f"these have a type by now: remove them from ALLOWED: {typed}"


def test_the_search_sees_methods_and_alternatives() -> None:
    source = """
class Public:
    def method(self) -> Any: ...
    def _own(self) -> Any: ...
    def __getitem__(self, key) -> Any: ...
    def values(self) -> list[Any]: ...
if True:
    def function() -> Any | None: ...
class _Own:
    def method(self) -> Any: ...
"""
    assert list(returning_any(ast.parse(source).body)) == ["Public.method", "Public.__getitem__", "function"]
