"""`shmflink config`: every option with its type, default, effective value, and where that comes from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.config.option import Option
from shmflink.config.options import OPTIONS
from shmflink.config.sources import Setting, shown_value
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["show_config"]

_HEADINGS: Final = ("Key", "Type", "Default", "Value", "Source")


@dataclass(frozen=True, slots=True)
class _Line:
    key: str
    kind: str
    default: str | None
    value: str | None
    source: str


def show_config(settings: Mapping[str, Setting], words: Sequence[str], *, only_set: bool, as_json: bool) -> int:
    """Prints the options whose keys have all of `words`; returns the exit code: 1 if there is none."""
    lines = [_line(option, settings.get(option.key)) for option in OPTIONS.values()]
    shown = [
        line
        for line in lines
        if all(word.lower() in line.key for word in words) and (line.source != "default" or not only_set)
    ]
    if as_json:
        import orjson

        fields = [
            {"key": one.key, "type": one.kind, "default": one.default, "value": one.value, "source": one.source}
            for one in shown
        ]
        sys.stdout.write(orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _table(shown)))
    if not shown:
        has = f"has {' and '.join(words)} in its key" if words else ""
        is_set = "is set" if only_set else ""
        sys.stderr.write(f"no option {' and '.join(filter(None, (is_set, has)))}\n")
        return 1
    return 0


def _line(option: Option[object], setting: Setting | None) -> _Line:
    default = None if option.default is None else option.write(option.default)
    if setting is None:
        return _Line(option.key, str(option.kind), default, default, "default")
    value = option.parse(setting.text)
    text = setting.text if value is None else option.write(value)
    return _Line(option.key, str(option.kind), default, shown_value(option.key, text), setting.source)


def _table(lines: Sequence[_Line]) -> list[str]:
    rows = [_HEADINGS, *((one.key, one.kind, one.default or "-", one.value or "-", one.source) for one in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
