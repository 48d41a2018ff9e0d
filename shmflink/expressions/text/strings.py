"""Strings: case, length, parts by position, trimming, padding, joining. Positions count characters from 1.

Lengths and positions count characters; Flink counts UTF-16 units in some functions, which may split a character.
"""

from __future__ import annotations

from typing import Any, Final, Self

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.text.natives import TEXT, WHOLE, by_rows, same_for_all
from shmflink.expressions.types.coercions import each

__all__ = ["StringMethods"]

_TO_THE_END: Final = 2**31 - 1  # more characters than a string can have


class StringMethods(Node):
    """Functions that turn strings into strings. Null if an argument is null."""

    __slots__ = ()

    @property
    def upper_case(self) -> Self:
        """All letters in upper case.

        >>> show(col("s").upper_case, s=["straße", None])
        _c0: ['STRASSE', None]
        """
        return self.call("upper_case", self)

    @property
    def lower_case(self) -> Self:
        """All letters in lower case.

        >>> show(col("s").lower_case, s=["FLINK"])
        _c0: ['flink']
        """
        return self.call("lower_case", self)

    @property
    def init_cap(self) -> Self:
        """The first letter of each word in upper case, the others in lower case. Words consist of letters and digits.

        >>> show(col("s").init_cap, s=["hELLO wORLD"])
        _c0: ['Hello World']
        """
        return self.call("init_cap", self)

    @property
    def char_length(self) -> Self:
        """Number of characters.

        >>> show(col("s").char_length, s=["naïve", "", None])
        _c0: [5, 0, None]
        """
        return self.call("char_length", self)

    @property
    def reverse(self) -> Self:
        """The characters from last to first.

        >>> show(col("s").reverse, s=["abc"])
        _c0: ['cba']
        """
        return self.call("reverse", self)

    def substring(self, begin_index: Any, length: Any = None) -> Self:
        """The part from `begin_index` on, with `length` characters or up to the end; a negative index counts from the
        end.

        Empty if it begins outside the string; null for a negative length.

        >>> show(col("s").substring(2, 3), col("s").substring(-2), s=["abcdef", "x"])
        _c0: ['bcd', '']
        _c1: ['ef', '']
        """
        return self.call("substring", self, begin_index, *([] if length is None else [length]))

    def substr(self, begin_index: Any, length: Any = None) -> Self:
        """The same as `substring`.

        >>> show(col("s").substr(2), s=["abc"])
        _c0: ['bc']
        """
        return self.substring(begin_index, length)

    def left(self, length: Any) -> Self:
        """The first characters; empty for a negative number.

        >>> show(col("s").left(2), s=["abc", "x"])
        _c0: ['ab', 'x']
        """
        return self.call("left", self, length)

    def right(self, length: Any) -> Self:
        """The last characters; empty for a negative number.

        >>> show(col("s").right(2), s=["abc", "x"])
        _c0: ['bc', 'x']
        """
        return self.call("right", self, length)

    def trim(self, character: Any = None) -> Self:
        """Removes these characters (default: spaces) from both ends.

        >>> show(col("s").trim(), col("s").trim(" a"), s=["  ab a "])
        _c0: ['ab a']
        _c1: ['b']
        """
        return self.call("trim", self, " " if character is None else character, parameters=(True, True))

    def trim_leading(self, character: Any = None) -> Self:
        """Removes these characters (default: spaces) from the start.

        >>> show(col("s").trim_leading(), s=["  ab "])
        _c0: ['ab ']
        """
        return self.call("trim", self, " " if character is None else character, parameters=(True, False))

    def trim_trailing(self, character: Any = None) -> Self:
        """Removes these characters (default: spaces) from the end.

        >>> show(col("s").trim_trailing("0"), s=["1200"])
        _c0: ['12']
        """
        return self.call("trim", self, " " if character is None else character, parameters=(False, True))

    def btrim(self, trim_str: Any = None) -> Self:
        """Removes these characters (default: spaces) from both ends.

        >>> show(col("s").btrim("xy"), s=["xyaxbyx"])
        _c0: ['axb']
        """
        return self.trim(trim_str)

    def ltrim(self, trim_str: Any = None) -> Self:
        """Removes these characters (default: spaces) from the start.

        >>> show(col("s").ltrim("0"), s=["0042"])
        _c0: ['42']
        """
        return self.trim_leading(trim_str)

    def rtrim(self, trim_str: Any = None) -> Self:
        """Removes these characters (default: spaces) from the end.

        >>> show(col("s").rtrim(), s=["ab  "])
        _c0: ['ab']
        """
        return self.trim_trailing(trim_str)

    def lpad(self, length: Any, pad: Any) -> Self:
        """Pads on the left, or truncates, to this many characters. Null for a negative length or an empty pad.

        >>> show(col("s").lpad(4, "?!"), s=["hi", "hello"])
        _c0: ['?!hi', 'hell']
        """
        return self.call("pad", self, length, pad, parameters=(True,))

    def rpad(self, length: Any, pad: Any) -> Self:
        """Pads on the right, or truncates, to this many characters. Null for a negative length or an empty pad.

        >>> show(col("s").rpad(5, "?!"), s=["hi", "hello!"])
        _c0: ['hi?!?', 'hello']
        """
        return self.call("pad", self, length, pad, parameters=(False,))

    def repeat(self, n: Any) -> Self:
        """The string repeated this many times; empty for zero or fewer.

        >>> show(col("s").repeat(3), s=["ab"])
        _c0: ['ababab']
        """
        return self.call("repeat", self, n)

    def overlay(self, new_string: Any, starting: Any, length: Any = None) -> Self:
        """Replaces `length` characters from `starting` on; the default length is that of the new string.

        Returns the string unchanged if `starting` is outside it. For a length of 0 or less, replaces everything that
        follows, as in Flink.

        >>> show(col("s").overlay("xxxx", 6), col("s").overlay("xxxx", 6, 2), s=["xxxxxtest"])
        _c0: ['xxxxxxxxx']
        _c1: ['xxxxxxxxxst']
        """
        return self.call("overlay", self, new_string, starting, *([] if length is None else [length]))

    def concat(self, *others: Any) -> Self:
        """The concatenated strings; null if one is null.

        >>> show(col("s").concat("-", col("t")), s=["a", None], t=["b", "c"])
        _c0: ['a-b', None]
        """
        return self.call("concat", self, *others)


@function("upper_case", TypeFamily.STRING, coerce=each(TEXT))
def _upper_case(values: Values) -> Values:
    return same_for_all(_core.change_case, values, True)


@function("lower_case", TypeFamily.STRING, coerce=each(TEXT))
def _lower_case(values: Values) -> Values:
    return same_for_all(_core.change_case, values, False)


@function("init_cap", TypeFamily.STRING, coerce=each(TEXT))
def _init_cap(values: Values) -> Values:
    return same_for_all(_core.capitalize_words, values)


@function("char_length", TypeFamily.STRING, coerce=each(TEXT))
def _char_length(values: Values) -> Values:
    return pc.utf8_length(values)


@function("reverse", TypeFamily.STRING, coerce=each(TEXT))
def _reverse(values: Values) -> Values:
    return pc.utf8_reverse(values)


@function(
    "substring", TypeFamily.STRING, TypeFamily.INTEGER, TypeFamily.INTEGER, optional=1, coerce=each(TEXT, WHOLE, WHOLE)
)
def _substring(values: Values, begin: Values, length: Values = None) -> Values:
    if length is None:
        return by_rows(lambda texts, begins, rows: _core.substring(texts, begins, None, rows), values, begin)
    return by_rows(_core.substring, values, begin, length)


@function("left", TypeFamily.STRING, TypeFamily.INTEGER, coerce=each(TEXT, WHOLE))
def _left(values: Values, length: Values) -> Values:
    return by_rows(_core.text_end, values, length, is_left=True)


@function("right", TypeFamily.STRING, TypeFamily.INTEGER, coerce=each(TEXT, WHOLE))
def _right(values: Values, length: Values) -> Values:
    return by_rows(_core.text_end, values, length, is_left=False)


@function("trim", TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _trim(values: Values, letters: Values, is_leading: bool, is_trailing: bool) -> Values:
    return by_rows(_core.trim_text, values, letters, is_leading=is_leading, is_trailing=is_trailing)


@function("pad", TypeFamily.STRING, TypeFamily.INTEGER, TypeFamily.STRING, coerce=each(TEXT, WHOLE, TEXT))
def _pad(values: Values, length: Values, padding: Values, is_left: bool) -> Values:
    return by_rows(_core.pad_text, values, length, padding, is_left=is_left)


@function("repeat", TypeFamily.STRING, TypeFamily.INTEGER, coerce=each(TEXT, WHOLE))
def _repeat(values: Values, count: Values) -> Values:
    return _with_data(pc.binary_repeat(values, pc.max_element_wise(count, pa.scalar(0, pa.int64()), skip_nulls=False)))


@function(
    "overlay",
    TypeFamily.STRING,
    TypeFamily.STRING,
    TypeFamily.INTEGER,
    TypeFamily.INTEGER,
    optional=1,
    coerce=each(TEXT, TEXT, WHOLE, WHOLE),
)
def _overlay(values: Values, new: Values, starting: Values, length: Values = None) -> Values:
    if length is None:
        return by_rows(
            lambda texts, n, starts, rows: _core.overlay_text(texts, n, starts, None, rows), values, new, starting
        )
    to_the_end = pc.if_else(pc.less_equal(length, 0), pa.scalar(_TO_THE_END, WHOLE), length)
    return by_rows(_core.overlay_text, values, new, starting, to_the_end)


@function("concat", TypeFamily.STRING, variadic=True, coerce=each(TEXT))
def _concat(*values: Values) -> Values:
    return _with_data(pc.binary_join_element_wise(*values, ""))


@function("concat_ws", TypeFamily.STRING, TypeFamily.STRING, variadic=True, coerce=each(TEXT))
def _concat_ws(separator: Values, *values: Values) -> Values:
    # Arrow's null-skipping kernel drops rows in which all values are null.
    return by_rows(lambda by, *texts, rows: _core.join_text(by, texts, rows), separator, *values)


def _with_data(values: Values) -> Values:
    """Repairs columns without bytes: for these, some kernels omit the data buffer and leave the offsets uninitialized.

    Arrow's format requires an empty buffer, and offsets that lie within it.
    """
    if isinstance(values, pa.Scalar) or values.buffers()[2] is not None:
        return values
    width = 8 if pa.types.is_large_string(values.type) else 4
    offsets = pa.py_buffer(bytes(width * (len(values) + values.offset + 1)))
    return pa.Array.from_buffers(
        values.type, len(values), [values.buffers()[0], offsets, pa.py_buffer(b"")], values.null_count, values.offset
    )
