"""Patterns of paths, and which names they leave out.

One rule for hidden names, that of Hadoop's and Flink's listings: a name that begins with `_` or `.` is passed over at
every level below the fixed part of a path, folders of a partition (`_x=1`) included. A pattern reaches such a name only
where its own part for that level begins with the same character: `table/_delta_log/*`, `table/.*`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["has_hidden_name", "matcher", "wildcard_at"]

_MAGIC: Final = re.compile(r"[*?[]")
_TOKEN: Final = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]")
_PUNCTUATION: Final = re.compile(r"[^-\w]")
_VISIBLE: Final = r"(?![._])"


def wildcard_at(path: str, start: int = 0) -> int:
    """Where the first character that makes a pattern of the path stands, from `start` on; -1 where there is none."""
    found = _MAGIC.search(path, start)
    return -1 if found is None else found.start()


def has_hidden_name(below: str) -> bool:
    """Whether a part of the path `below` some folder is hidden."""
    return "/." in below or "/_" in below or below.startswith((".", "_"))


def matcher(pattern: str, base: int) -> re.Pattern[str]:
    """An expression for the paths that match, whose group `below` is what follows a folder that matches.

    The first `base` characters are meant as they are. `**` as a whole name stands for any folders, also none.
    """
    parts = pattern[base:].split("/")
    made = [re.escape(pattern[:base])]
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            made.append(rf"(?:{_VISIBLE}[^/]+/)*" + (rf"{_VISIBLE}[^/]*" if is_last else ""))
        else:
            made.append(_name(part) + ("" if is_last else "/"))
    return re.compile("".join(made) + r"(?P<below>/.*)?", re.DOTALL)


def _name(part: str) -> str:
    """One name of a pattern. Wildcards at its start stand for no hidden name."""
    made, position = [_VISIBLE] if _MAGIC.match(part) else [], 0
    for token in _TOKEN.finditer(part):
        made.append(re.escape(part[position : token.start()]))
        position = token.end()
        text = token.group()
        made.append("[^/]*" if text[0] == "*" else "[^/]" if text == "?" else _set(text[1:-1]))
    return "".join(made) + re.escape(part[position:])


def _set(members: str) -> str:
    """The characters between brackets; `!` at their start turns them around, and `-` makes a range."""
    sign, rest = ("^", members[1:]) if members.startswith("!") else ("", members)
    return "[" + sign + _PUNCTUATION.sub(r"\\\g<0>", rest) + "]"
