"""Patterns of SQL's `LIKE` and `SIMILAR TO` as regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["LikePattern", "like_pattern", "similar_pattern"]

_ANY: Final = "%"
_ONE: Final = "_"
_ONE_IN_A_LINE: Final = r"[^\n\r\u0085\u2028\u2029]"  # Java's `.`
_OPERATORS: Final = frozenset("|*+?{}()[]")  # have the same meaning in SIMILAR TO and in regular expressions
_WILDCARDS: Final = {_ANY: "(?s:.*)", _ONE: _ONE_IN_A_LINE}
_CLASSES: Final = {
    "[:ALPHA:]": r"[:alpha:]",
    "[:UPPER:]": r"[:upper:]",
    "[:LOWER:]": r"[:lower:]",
    "[:DIGIT:]": r"[:digit:]",
    "[:SPACE:]": " ",
    "[:WHITESPACE:]": r"[:space:]",
    "[:ALNUM:]": r"[:alnum:]",
}
_PRIVATE: Final = 0xF0000  # unused code points, which represent classes while a pattern is parsed


@dataclass(frozen=True, slots=True)
class LikePattern:
    """`text` is the `whole`, the `start` or the `end` of a string, or `anywhere` in it; otherwise (""), use `regex`."""

    place: str
    text: str
    regex: str


def like_pattern(pattern: str, escape: str | None) -> LikePattern:
    """What a LIKE pattern matches. Raises `ValueError` if the escape is not a single character or ends the pattern.

    As in Flink (Calcite), `%` matches across line ends and `_` does not match a line end.
    """
    tokens = [(text, not is_escaped and text in (_ANY, _ONE)) for text, is_escaped in _tokens(pattern, escape)]
    parts = [_WILDCARDS[text] if is_special else re.escape(text) for text, is_special in tokens]
    regex = rf"\A{''.join(parts)}\z"
    is_open_start = tokens[:1] == [(_ANY, True)]
    tokens = tokens[1:] if is_open_start else tokens
    is_open_end = tokens[-1:] == [(_ANY, True)]
    tokens = tokens[:-1] if is_open_end else tokens
    if any(is_special for _, is_special in tokens):
        return LikePattern("", "", regex)
    text = "".join(text for text, _ in tokens)
    if is_open_start and not text:
        return LikePattern("start", "", regex)
    places = {(False, False): "whole", (False, True): "start", (True, False): "end", (True, True): "anywhere"}
    return LikePattern(places[is_open_start, is_open_end], text, regex)


def similar_pattern(pattern: str, escape: str | None) -> str:
    """The regular expression of a pattern of SIMILAR TO."""
    for index, name in enumerate(_CLASSES):
        pattern = re.sub(re.escape(name), chr(_PRIVATE + index), pattern, flags=re.IGNORECASE)
    parts = []
    is_inside = False  # brackets
    for text, is_escaped in _tokens(pattern, escape):
        if is_escaped:
            parts.append(re.escape(text))
        elif text in _OPERATORS:
            is_inside = text == "[" or (is_inside and text != "]")
            parts.append(text)
        elif is_inside:
            parts.append("\\" + text if text in "\\&~" else text)
        else:
            parts.append(_WILDCARDS.get(_ONE if text == "." else text) or re.escape(text))
    regex = "".join(parts)
    for index, posix in enumerate(_CLASSES.values()):
        regex = regex.replace(chr(_PRIVATE + index), posix)
    return rf"\A(?:{regex})\z"


def _tokens(pattern: str, escape: str | None) -> Iterator[tuple[str, bool]]:
    """Characters, and whether they were escaped."""
    if escape is not None and len(escape) != 1:
        raise ValueError(f"the escape must be one character, got {escape!r}")
    letters = iter(pattern)
    for letter in letters:
        if letter != escape:
            yield letter, False
            continue
        following = next(letters, None)
        if following is None:
            raise ValueError(f"the pattern {pattern!r} ends with its escape")
        yield following, True
