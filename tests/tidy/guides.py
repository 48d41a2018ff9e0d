"""Writes the generated pages of examples/guides: `python -m tests.tidy.guides`. `test_guides.py` compares them."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import shmflink.expressions as functions
from shmflink.connectors.file_system.formats.csv.format import CsvFormat
from shmflink.connectors.file_system.formats.json.format import JsonLinesFormat
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.expressions.expression import Expression

__all__ = ["PAGES", "main"]

GUIDES: Final = Path(__file__).resolve().parents[2] / "examples" / "guides"
PYFLINK_NAMES: Final = Path(__file__).resolve().parents[1] / "unit" / "pyflink_names.txt"
_PACKAGES: Final = tuple(
    f"shmflink.{name}"
    for name in (
        "common datastream datastream.connectors datastream.connectors.custom errors expressions state_processor "
        "table testing"
    ).split()
)
_AGAIN: Final = "Generated from the code by `python -m tests.tidy.guides`.\n"
_INTERNAL: Final = frozenset("arguments call function identity operand parameters place walk".split())
_OF_FORMATS: Final[dict[str, Callable[..., Any]]] = {"csv": CsvFormat.__init__, "json_lines": JsonLinesFormat.__init__}
_PYTHON_OPERATORS: Final = (
    ("`+ - * / % **`", "arithmetic; `/` of integers is that of SQL"),
    ("`== != < <= > >=`", "comparison; null where a side is null"),
    ("`& | ~`", "and, or, not; put comparisons in parentheses. `~` of null is true, as PyFlink's; `not_()` is SQL's"),
)


def functions_page() -> str:
    """Every function of expressions, with its first sentence."""
    lines = ["# Functions of expressions", "", _AGAIN]
    lines += ["`from shmflink.expressions import col, lit, …`. Names are those of Flink's Table API in Python.", ""]
    lines += ["## Operators", "", "| | |", "|---|---|"]
    lines += [f"| {sign.replace('|', chr(92) + '|')} | {text} |" for sign, text in _PYTHON_OPERATORS]
    lines += ["", "## Methods and properties of an expression", "", "| | |", "|---|---|"]
    lines += [_row(f"col(…).{_call(name, member, 1)}", member) for name, member in _methods()]
    lines += ["", "## Functions", "", "| | |", "|---|---|"]
    lines += [_row(_call(name, member, 0), member) for name, member in _module_functions()]
    return "\n".join([*lines, ""])


def connectors_page() -> str:
    """Every option of the readers and sinks of files."""
    lines = ["# Options of files", "", _AGAIN]
    lines += ["`env.read_X(paths, …)` takes what `FileSource.x(paths, …)` takes.", ""]
    described: dict[str, type] = {}
    for kind in (CsvFormat, JsonLinesFormat):
        described[kind.__name__] = kind
    for title, kind in (("Reading: `FileSource`", FileSource), ("Writing: `FileSink`", FileSink)):
        lines += [f"## {title}", ""]
        for name, member in _static_methods(kind):
            lines += [f"### `{kind.__name__}.{name}`", "", *_paragraphs(member), ""]
            lines += ["| option | type | default |", "|---|---|---|"]
            lines += [*_options(_OF_FORMATS.get(name, member) if kind is FileSource else member), ""]
            described.update(_classes_named(member))
    lines += ["## What the options mean", ""]
    for name, described_class in sorted(described.items()):
        texts = [inspect.getdoc(described_class), inspect.getdoc(_OF_FORMATS.get(_method_of(name), None))]
        lines += [f"### {name}", "", *(text for text in texts if text and "See help(type(self))" not in text), ""]
    return "\n".join(lines)


def names_page() -> str:
    """Every public name, by the module that programs import it from, with the first sentence of its documentation."""
    lines = ["# Public names", "", _AGAIN]
    lines += ["What a program may import, and from where. Everything else may change in any release.", ""]
    for module in map(importlib.import_module, public_modules()):
        lines += [f"## `{module.__name__}`", "", "| | |", "|---|---|"]
        lines += [_row(name, getattr(module, name)) for name in sorted(module.__all__)]
        lines += [""]
    return "\n".join(lines)


def public_modules() -> list[str]:
    """PyFlink's, those of its modules that are here, and what only shmflink has."""
    listed = {line.split()[0] for line in PYFLINK_NAMES.read_text().splitlines() if line.strip()}
    here = {name for name in (f"shmflink.{module}" for module in listed) if _is_here(name)}
    return sorted({*here, *_PACKAGES})


def _is_here(module: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), "__all__")
    except ImportError:
        return False


def _method_of(format_name: str) -> str:
    return {"CsvFormat": "csv", "JsonLinesFormat": "json_lines"}.get(format_name, "")


def _methods() -> Iterator[tuple[str, Any]]:
    for name in sorted(dir(Expression)):
        if not name.startswith("_") and name not in _INTERNAL:
            yield name, inspect.getattr_static(Expression, name)


def _module_functions() -> Iterator[tuple[str, Any]]:
    for name in sorted({*functions.__all__, "json"}):
        member = getattr(functions, name)
        if inspect.isfunction(member) and inspect.getdoc(member) and name not in {"bind", "bounds", "conjuncts"}:
            yield name, member


def _static_methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, member in vars(kind).items():
        if isinstance(member, staticmethod) and not name.startswith("_"):
            function = member.__func__
            if any(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in inspect.signature(function).parameters.values()):
                yield name, function


def _call(name: str, member: Any, skipped: int) -> str:
    if isinstance(member, property):
        return name
    function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    return f"{name}({', '.join(_parameter(parameter) for parameter in parameters)})"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f"={_literal(parameter.default)}"
    return f"{stars}{parameter.name}{default}"


def _literal(value: Any) -> str:
    name = getattr(value, "name", None)
    return f"{type(value).__name__}.{name}" if isinstance(name, str) else repr(value)


def _row(call: str, member: Any) -> str:
    text = (_paragraphs(member) or [""])[0]
    return f"| `{_cell(call)}` | {_cell(text)} |"


def _paragraphs(member: Any) -> list[str]:
    if not (inspect.isroutine(member) or inspect.isclass(member) or isinstance(member, property)):
        return []  # a constant's documentation would be that of its type
    document = inspect.getdoc(member.fget if isinstance(member, property) else member) or ""
    first = document.split("\n\n")[0].replace("*shmflink only.*", "")
    return [" ".join(first.split())] if first.strip() else []


def _options(function: Callable[..., Any]) -> Iterator[str]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = "" if parameter.default is parameter.empty else f"`{_cell(_literal(parameter.default))}`"
            yield f"| `{parameter.name}` | {_cell(str(parameter.annotation))} | {default} |"
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from _unpacked(function, parameter)


def _classes_named(function: Callable[..., Any]) -> dict[str, type]:
    """Those that the documentation of a function, or its keywords, refer to."""
    names = re.findall(r"[`\[]([A-Z]\w+)[`\]]", f"{inspect.getdoc(function)} {inspect.signature(function)}")
    found = {name: vars(inspect.getmodule(function)).get(name) for name in names}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and inspect.getdoc(kind)}


def _unpacked(function: Callable[..., Any], parameter: inspect.Parameter) -> Iterator[str]:
    """Keywords that a TypedDict declares, common to several functions."""
    name = str(parameter.annotation).removeprefix("Unpack[").removesuffix("]")
    declared = inspect.getmodule(function).__dict__.get(name)
    for key, kind in getattr(declared, "__annotations__", {}).items():
        text = getattr(kind, "__forward_arg__", str(kind))
        yield f"| `{key}` | {_cell(text)} | |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: Final = {"functions.md": functions_page, "files.md": connectors_page, "names.md": names_page}


def main() -> None:
    for name, page in PAGES.items():
        (GUIDES / name).write_text(page())


if __name__ == "__main__":
    main()
