"""`shmflink options`: every option with its type, default and description."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Final

from shmflink.config.option import Option
from shmflink.config.options import OPTIONS

__all__ = ["show_options"]

_WIDTH: Final = 100


def show_options(words: Sequence[str], *, as_json: bool) -> int:
    """Prints the options whose key or description has all of `words`; returns the exit code: 1 if there is none."""
    shown = [option for option in OPTIONS.values() if all(word.lower() in _searched(option) for word in words)]
    if as_json:
        import orjson

        sys.stdout.write(orjson.dumps([_as_dict(option) for option in shown], option=orjson.OPT_INDENT_2).decode())
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(map(_as_text, shown)))
    if not shown:
        sys.stderr.write(f"no option has {' and '.join(words)} in its key or description\n")
        return 1
    return 0


def _searched(option: Option[object]) -> str:
    return f"{option.key} {option.doc}".lower()


def _as_text(option: Option[object]) -> str:
    head = f"{option.key}\n    {option.kind}{_bounds(option)}, default: {_default(option) or 'none'}\n"
    text = textwrap.fill(_plain(option.doc), _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{head}{text}\n"


def _bounds(option: Option[object]) -> str:
    if option.choices:
        return f" ({', '.join(option.choices)})"
    least, most = (None if one is None else option.write(one) for one in (option.minimum, option.maximum))
    if least is not None and most is not None:
        return f" ({least} to {most})"
    if least is not None:
        return f" (at least {least})"
    return f" (at most {most})" if most is not None else ""


def _default(option: Option[object]) -> str | None:
    return None if option.default is None else option.write(option.default)


def _plain(doc: str) -> str:
    """The text without Markdown, which a terminal does not render."""
    return " ".join(doc.split()).replace("*shmflink only.*", "shmflink only.")


def _as_dict(option: Option[object]) -> dict[str, Any]:
    return {
        "key": option.key,
        "type": str(option.kind),
        "default": _default(option),
        "description": _plain(option.doc),
        "minimum": option.minimum,
        "maximum": option.maximum,
        "choices": list(option.choices),
        "deprecated_keys": list(option.old_keys),
    }
