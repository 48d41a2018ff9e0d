"""Regular expressions, in the part of Java's syntax that an automaton supports (always in linear time).

Differences from Java: look-around, back references and possessive quantifiers are refused when the graph is built; only
a line feed ends `.`; positions count characters, not UTF-16 units. An invalid pattern, such as `(`, gives null
(`regexp`: false), as in Flink.
"""

from __future__ import annotations

from typing import Any, Self

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.text.natives import TEXT, WHOLE, by_rows
from shmflink.expressions.types.coercions import each

__all__ = ["RegexMethods"]


class RegexMethods(Node):
    """Functions that search for matches of a regular expression. Null if an argument is null."""

    __slots__ = ()

    def regexp(self, regex: Any) -> Self:
        """Whether some part of the string matches. False for an empty or invalid pattern, as in Flink.

        >>> show(col("s").regexp("a+b"), s=["xaab", "b", None])
        _c0: [True, False, None]
        """
        return self.call("regexp", self, regex)

    def regexp_replace(self, regex: Any, replacement: Any) -> Self:
        r"""Replaces all matches by the literal text: `$1` does not refer to a group, as in Flink.

        >>> show(col("s").regexp_replace("[0-9]+", "$1"), s=["a=1, b=22"])
        _c0: ['a=$1, b=$1']
        """
        return self.call("regexp_replace", self, regex, replacement)

    def regexp_extract(self, regex: Any, extract_index: Any = None) -> Self:
        r"""A group of the first match; group 0 (the default) is the whole match; null if there is none.

        >>> show(col("s").regexp_extract(r"(\d+)-(\d+)", 2), s=["a 10-20", "b"])
        _c0: ['20', None]
        """
        return self.call("regexp_extract", self, regex, 0 if extract_index is None else extract_index)

    def regexp_extract_all(self, regex: Any, extract_index: Any = None) -> Self:
        r"""An array of a group (by default 1) of all matches; null if there is no such group.

        >>> show(col("s").regexp_extract_all(r"(\d+)-(\d+)", 2), s=["1-2 3-4", "b"])
        _c0: [['2', '4'], []]
        """
        return self.call("regexp_extract_all", self, regex, 1 if extract_index is None else extract_index)

    def regexp_count(self, regex: Any) -> Self:
        """The number of matches.

        >>> show(col("s").regexp_count("an"), s=["banana", "x"])
        _c0: [2, 0]
        """
        return self.call("regexp_count", self, regex)

    def regexp_instr(self, regex: Any) -> Self:
        """Position of the first match, counted from 1; 0 if there is none.

        >>> show(col("s").regexp_instr("[0-9]"), s=["ab1", "x"])
        _c0: [3, 0]
        """
        return self.call("regexp_instr", self, regex)

    def regexp_substr(self, regex: Any) -> Self:
        """The first match; null if there is none.

        >>> show(col("s").regexp_substr("[0-9]+"), s=["ab12c3", "x"])
        _c0: ['12', None]
        """
        return self.call("regexp_extract", self, regex, 0)


@function("regexp", TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _regexp(values: Values, pattern: Values) -> Values:
    found = by_rows(_core.regex_test, values, pattern)
    is_known = pc.and_kleene(pc.is_valid(values), pc.is_valid(pattern))
    found = pc.if_else(is_known, pc.fill_null(found, False), pa.scalar(None, pa.bool_()))
    return pc.and_(found, pc.not_equal(pattern, ""))


@function("regexp_replace", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _regexp_replace(values: Values, pattern: Values, replacement: Values) -> Values:
    return by_rows(_core.regex_replace, values, pattern, replacement)


@function("regexp_extract", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.INTEGER, coerce=each(TEXT, TEXT, WHOLE))
def _regexp_extract(values: Values, pattern: Values, group: Values) -> Values:
    return by_rows(_core.regex_extract, values, pattern, group)


@function(
    "regexp_extract_all", TypeFamily.STRING, TypeFamily.STRING, TypeFamily.INTEGER, coerce=each(TEXT, TEXT, WHOLE)
)
def _regexp_extract_all(values: Values, pattern: Values, group: Values) -> Values:
    return by_rows(_core.regex_extract_all, values, pattern, group)


@function("regexp_count", TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _regexp_count(values: Values, pattern: Values) -> Values:
    return by_rows(_core.regex_count, values, pattern)


@function("regexp_instr", TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _regexp_instr(values: Values, pattern: Values) -> Values:
    return by_rows(_core.regex_position, values, pattern)
