"""Search in strings: tests, positions, replacing, splitting, patterns of `LIKE` and `SIMILAR TO`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.text.natives import TEXT, WHOLE, by_rows, same_for_all
from shmflink.expressions.text.patterns import like_pattern, similar_pattern
from shmflink.expressions.types.coercions import each
from shmflink.expressions.types.rules import is_bytes, is_text

__all__ = ["SearchMethods"]


class SearchMethods(Node):
    """Functions that search in strings. Null if an argument is null; positions count characters from 1."""

    __slots__ = ()

    def starts_with(self, start_expr: Any) -> Self:
        """Whether the string starts with another; true for an empty one.

        >>> show(col("s").starts_with("ab"), s=["abc", "b", None])
        _c0: [True, False, None]
        """
        return self.call("starts_with", self, start_expr)

    def ends_with(self, end_expr: Any) -> Self:
        """Whether the string ends with another; true for an empty one.

        >>> show(col("s").ends_with("bc"), s=["abc", "b", None])
        _c0: [True, False, None]
        """
        return self.call("ends_with", self, end_expr)

    def contains(self, part: Any) -> Self:
        """*shmflink only.* Whether the string contains another; true for an empty one.

        >>> show(col("s").contains("b"), s=["abc", "x", None])
        _c0: [True, False, None]
        """
        return self.call("contains", self, part)

    def position(self, haystack: Any) -> Self:
        """Position of the first occurrence of this string in `haystack`; 0 if there is none.

        >>> show(lit("c").position(col("s")), s=["abc", "x"])
        _c0: [3, 0]
        """
        return self.call("locate", haystack, self)

    def instr(self, s: Any) -> Self:
        """Position of the first occurrence of `s` in this string; 0 if there is none.

        >>> show(col("s").instr("c"), s=["abc", "x"])
        _c0: [3, 0]
        """
        return self.call("locate", self, s)

    def locate(self, s: Any, pos: Any = None) -> Self:
        """Position of the first occurrence of this string in `s` at or after `pos`; 0 if there is none, 1 for an empty
        string.

        >>> show(lit("a").locate(col("s")), lit("a").locate(col("s"), 2), s=["abca"])
        _c0: [1]
        _c1: [4]
        """
        return self.call("locate", s, self, *([] if pos is None else [pos]))

    def replace(self, search: Any, replacement: Any) -> Self:
        """Replaces all occurrences of `search`.

        >>> show(col("s").replace("l", "L"), s=["hello"])
        _c0: ['heLLo']
        """
        return self.call("replace", self, search, replacement)

    def translate(self, from_str: Any, to_str: Any) -> Self:
        """Replaces each character of `from_str` by the one at its position in `to_str`; removes those without a
        counterpart.

        >>> show(col("s").translate("abc", "AB"), s=["aabbcc"])
        _c0: ['AABB']
        """
        return self.call("translate", self, from_str, to_str)

    def split(self, delimiter: Any = None) -> Self:
        """An array of the parts between delimiters; empty for an empty string. An empty delimiter separates all
        characters.

        Without a delimiter (*shmflink only*): the words between runs of ASCII white space.

        >>> show(col("s").split(","), col("s").split(), s=["a,,b c", None])
        _c0: [['a', '', 'b c'], None]
        _c1: [['a,,b', 'c'], None]
        """
        return self.call("split", self, *([] if delimiter is None else [delimiter]))

    def split_index(self, separator: Any, index: Any) -> Self:
        """The part at an index, counted from 0, between separators; null if there is none.

        >>> show(col("s").split_index(";", 1), s=["a;b;c", "a"])
        _c0: ['b', None]
        """
        return self.call("split_index", self, separator, index)

    def like(self, pattern: Any, escape: Any = None) -> Self:
        """Whether the whole string matches a pattern: `%` stands for any characters, `_` for one.

        The character after `escape` stands for itself. `%` matches across line ends, `_` does not match a line end.

        >>> show(col("s").like("a%"), col("s").like("1!%", "!"), s=["abc", "1%"])
        _c0: [True, False]
        _c1: [False, True]
        """
        return self.call("like", self, pattern, *([] if escape is None else [escape]))

    def similar(self, pattern: Any, escape: Any = None) -> Self:
        """Whether the whole string matches a pattern of `SIMILAR TO`: `%`, `_`, `|`, `*`, `+`, `?`, `{n}`, `()`, `[]`.

        A `.` stands for one character, like `_`, except for a line end.

        >>> show(col("s").similar("(ab|cd)+%"), s=["abcdx", "x"])
        _c0: [True, False]
        """
        return self.call("similar", self, pattern, *([] if escape is None else [escape]))

    @property
    def is_alpha(self) -> Self:
        """*shmflink only; `IS_ALPHA` of Flink SQL.* Whether all characters are letters; false for "" and null.

        >>> show(col("s").is_alpha, s=["abc", "a1", ""])
        _c0: [True, False, False]
        """
        return self.call("is_alpha", self)

    @property
    def is_digit(self) -> Self:
        """*shmflink only; `IS_DIGIT` of Flink SQL.* Whether all characters are digits; false for "" and null.

        >>> show(col("s").is_digit, s=["12", "a1", ""])
        _c0: [True, False, False]
        """
        return self.call("is_digit", self)

    @property
    def is_decimal(self) -> Self:
        """*shmflink only; `IS_DECIMAL` of Flink SQL.* Whether it can be read as a number; false for null.

        >>> show(col("s").is_decimal, s=["-12.5", "1e3", "12a"])
        _c0: [True, True, False]
        """
        return self.call("is_decimal", self)


def _alike(values: Values, other: Values, place: str) -> Values:
    return by_rows(_core.text_matches, values, other, place=place)


def _short_text(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Strings with 32-bit offsets, as the kernel requires; bytes unchanged."""
    return [TEXT if is_text(kind) or pa.types.is_null(kind) else kind for kind in kinds]


def _ends(values: Values, other: Values, kernel: Any, place: str) -> Values:
    if is_bytes(values.type):
        if not isinstance(other, pa.Scalar):
            raise TypeError("for bytes it takes a constant")
        return kernel(values, other.as_py())
    return _alike(values, other, place)


@function("starts_with", TypeFamily.ANY, TypeFamily.ANY, coerce=_short_text)
def _starts_with(values: Values, start: Values) -> Values:
    return _ends(values, start, pc.starts_with, "start")


@function("ends_with", TypeFamily.ANY, TypeFamily.ANY, coerce=_short_text)
def _ends_with(values: Values, end: Values) -> Values:
    return _ends(values, end, pc.ends_with, "end")


@function("contains", TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _contains(values: Values, part: Values) -> Values:
    return _alike(values, part, "anywhere")


@function(
    "locate", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.INTEGER, optional=1, coerce=each(TEXT, TEXT, WHOLE)
)
def _locate(values: Values, needle: Values, start: Values = None) -> Values:
    if start is None:
        return by_rows(_core.text_position, values, needle, pa.scalar(1, WHOLE))
    start = pc.if_else(pc.less(start, 1), pa.scalar(1, WHOLE), start)
    found = by_rows(_core.text_position, values, needle, start)
    return pc.if_else(pc.and_(pc.is_valid(found), pc.equal(needle, "")), pa.scalar(1, pa.int32()), found)


@function("replace", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _replace(values: Values, old: Values, new: Values) -> Values:
    return by_rows(_core.replace_text, values, old, new)


@function("translate", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _translate(values: Values, from_str: Values, to_str: Values) -> Values:
    return by_rows(_core.translate_text, values, from_str, to_str)


@function("split", TypeFamily.STRING, TypeFamily.STRING, optional=1, coerce=each(TEXT))
def _split(values: Values, delimiter: Values = None) -> Values:
    if delimiter is None:
        return same_for_all(_core.split_text, values)
    if not isinstance(delimiter, pa.Scalar):
        raise TypeError("the delimiter must be a constant")
    if not delimiter.is_valid:
        return pa.scalar(None, pa.list_(pa.utf8()))
    parts = same_for_all(_core.split_text, values, delimiter.as_py())
    is_empty = pc.fill_null(pc.equal(values, ""), False)
    return pc.if_else(is_empty, pa.scalar([], parts.type), parts) if pc.any(is_empty).as_py() else parts


@function("split_index", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.INTEGER, coerce=each(TEXT, TEXT, WHOLE))
def _split_index(values: Values, separator: Values, index: Values) -> Values:
    return by_rows(_core.split_part, values, separator, index)


@function("like", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.STRING, optional=1, coerce=each(TEXT))
def _like(values: Values, pattern: Values, escape: Values = None) -> Values:
    if not isinstance(pattern, pa.Scalar):
        return by_rows(_core.regex_test, values, _each(pattern, escape, lambda text, by: like_pattern(text, by).regex))
    if not pattern.is_valid:
        return pa.scalar(None, pa.bool_())
    wanted = like_pattern(pattern.as_py(), None if escape is None else escape.as_py())
    text = pa.scalar(wanted.text, pa.utf8())
    match wanted.place:
        case "whole":
            return pc.equal(values, text)
        case "start" | "end" | "anywhere":
            return _alike(values, text, wanted.place)
    return by_rows(_core.regex_test, values, pa.scalar(wanted.regex, pa.utf8()))


@function("similar", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.STRING, optional=1, coerce=each(TEXT))
def _similar(values: Values, pattern: Values, escape: Values = None) -> Values:
    return by_rows(_core.regex_test, values, _each(pattern, escape, similar_pattern))


def _each(pattern: Values, escape: Values, convert: Any) -> Values:
    """Converts patterns, each distinct one once."""
    by = None if escape is None else escape.as_py()
    if isinstance(pattern, pa.Scalar):
        return pa.scalar(None if not pattern.is_valid else convert(pattern.as_py(), by), pa.utf8())
    # In Python, once per distinct pattern: a column of patterns has few.
    encoded = pattern.dictionary_encode()
    converted = [convert(text, by) for text in encoded.dictionary.to_pylist()]
    return pa.array(converted, pa.utf8()).take(encoded.indices)


@function("is_alpha", TypeFamily.STRING, coerce=each(TEXT))
def _is_alpha(values: Values) -> Values:
    return pc.fill_null(pc.utf8_is_alpha(values), False)


@function("is_digit", TypeFamily.STRING, coerce=each(TEXT))
def _is_digit(values: Values) -> Values:
    return pc.fill_null(pc.utf8_is_digit(values), False)


@function("is_decimal", TypeFamily.STRING, coerce=each(TEXT))
def _is_decimal(values: Values) -> Values:
    return pc.is_valid(same_for_all(_core.parse_floats, values))
