"""Patterns of paths, and the names that they skip.

`*` and `?` stand for characters of one name, `[a-z]` and `[!a]` for one of some, `**` for folders, and `{a,b/*}` for
either text, which may hold slashes, patterns and braces. Braces without a comma are literal, and so is `{` between
brackets.

One rule for hidden names, that of Hadoop's and Flink's listings: a name that begins with `_` or `.` is skipped at every
level below the fixed part of a path, partition folders (`_x=1`) included. A pattern matches such a name only if its own
part for that level begins with the same character: `table/_delta_log/*`, `table/.*`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

__all__ = ["alternatives", "has_hidden_name", "matcher", "wildcard_at"]

_MAGIC: Final = re.compile(r"[*?[]")
_TOKEN: Final = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]")
_BRACE_SIGN: Final = re.compile(r"[{},]|\[!?\]?[^\]]*\]")  # except between brackets
_PUNCTUATION: Final = re.compile(r"[^-\w]")
_VISIBLE: Final = r"(?![._])"


def wildcard_at(path: str, start: int = 0) -> int:
    """The position, from `start` on, of the first character that makes the path a pattern; -1 if there is none."""
    found = _MAGIC.search(path, start)
    braces = _braces(path, start)
    places = [] if found is None else [found.start()]
    return min(places if braces is None else [*places, braces[0]], default=-1)


def alternatives(pattern: str, base: int) -> list[str]:
    """The patterns without braces that a pattern expands to; its first `base` characters are literal."""
    found = _braces(pattern, base)
    if found is None:
        return [pattern]
    start, commas, end = found
    edges = [start, *commas, end]
    before, rest = pattern[:start], pattern[end + 1 :]
    made = []
    for left, right in pairwise(edges):
        choice = pattern[left + 1 : right]
        is_no_name = not choice and before.endswith("/") and rest.startswith("/")
        made += alternatives(before + choice + (rest[1:] if is_no_name else rest), start)
    return made


def has_hidden_name(below: str) -> bool:
    """Whether a part of the path `below` some folder is hidden."""
    return "/." in below or "/_" in below or below.startswith((".", "_"))


def matcher(pattern: str, base: int) -> re.Pattern[str]:
    """An expression for the paths that match. Its group `below` is what follows a folder that matches.

    The first `base` characters are literal. `**` as a whole name matches any number of folders, including none.
    """
    choices = "|".join(_below(one[base:]) for one in alternatives(pattern, base))
    return re.compile(f"{re.escape(pattern[:base])}(?:{choices})(?P<below>/.*)?", re.DOTALL)


def _braces(path: str, start: int) -> tuple[int, list[int], int] | None:
    """The positions of the first braces that contain a comma, from `start` on: opening, own commas, closing."""
    signs = [(found.start(), found.group()) for found in _BRACE_SIGN.finditer(path, start)]
    for number, (opening, first) in enumerate(signs):
        depth, commas = 0, []
        for at, sign in signs[number:] if first == "{" else ():
            depth += (sign == "{") - (sign == "}")
            if sign == "," and depth == 1:
                commas.append(at)
            if not depth:
                if commas:
                    return opening, commas, at
                break
    return None


def _below(pattern: str) -> str:
    """The expression for a pattern without braces."""
    made = []
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            made.append(rf"(?:{_VISIBLE}[^/]+/)*" + (rf"{_VISIBLE}[^/]*" if is_last else ""))
        else:
            made.append(_name(part) + ("" if is_last else "/"))
    return "".join(made)


def _name(part: str) -> str:
    """One name of a pattern. Wildcards at its start match no hidden name."""
    made, position = [_VISIBLE] if _MAGIC.match(part) else [], 0
    for token in _TOKEN.finditer(part):
        made.append(re.escape(part[position : token.start()]))
        position = token.end()
        text = token.group()
        made.append("[^/]*" if text[0] == "*" else "[^/]" if text == "?" else _set(text[1:-1]))
    return "".join(made) + re.escape(part[position:])


def _set(members: str) -> str:
    """The characters between brackets; `!` at their start negates them, and `-` makes a range."""
    sign, rest = ("^", members[1:]) if members.startswith("!") else ("", members)
    return "[" + sign + _PUNCTUATION.sub(r"\\\g<0>", rest) + "]"
