"""Strings as bytes and numbers, and back: code points, base64, digits, character sets; `elt` and `printf`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.text.natives import TEXT, WHOLE, null_count, same_for_all
from shmflink.expressions.text.printing import formatted
from shmflink.expressions.types.coercions import each
from shmflink.expressions.types.rules import common_type, is_bytes, is_text
from shmflink.expressions.vectors import columnwise

__all__ = ["EncodingMethods"]

_CHARSETS: Final = ("US-ASCII", "ISO-8859-1", "UTF-8", "UTF-16BE", "UTF-16LE", "UTF-16")
_BYTE_VALUES: Final = 256


class EncodingMethods(Node):
    """Functions between strings, bytes and numbers. Null if an argument is null."""

    __slots__ = ()

    @property
    def ascii(self) -> Self:
        """Value of the first byte of the first character; 0 for an empty string.

        >>> show(col("s").ascii, s=["abc", "", None])
        _c0: [97, 0, None]
        """
        return self.call("ascii", self)

    @property
    def chr(self) -> Self:
        """The character with a code from 0 to 255; greater numbers count modulo 256, negative ones give "".

        >>> show(col("n").chr, n=[97, 321, -1])
        _c0: ['a', 'A', '']
        """
        return self.call("chr", self)

    @property
    def bin(self) -> Self:
        """A whole number in binary digits.

        >>> show(col("n").bin, n=[4, 12, 0])
        _c0: ['100', '1100', '0']
        """
        return self.call("bin", self)

    @property
    def hex(self) -> Self:
        """A whole number, or a string's bytes, in upper-case hexadecimal digits.

        >>> show(col("n").hex, col("s").hex, n=[20, 100], s=["hi", ""])
        _c0: ['14', '64']
        _c1: ['6869', '']
        """
        return self.call("hex", self)

    @property
    def unhex(self) -> Self:
        """The bytes that hexadecimal digits represent; null if there are other characters.

        If the number of digits is odd, a zero byte replaces the first digit.

        >>> show(col("s").unhex, s=["6869", "zz"])
        _c0: [b'hi', None]
        """
        return self.call("unhex", self)

    @property
    def to_base64(self) -> Self:
        """The string or bytes, encoded as base64.

        >>> show(col("s").to_base64, s=["hello world"])
        _c0: ['aGVsbG8gd29ybGQ=']
        """
        return self.call("to_base64", self)

    @property
    def from_base64(self) -> Self:
        """Decodes base64 to a string; invalid base64 is an error.

        >>> show(col("s").from_base64, s=["aGVsbG8=", None])
        _c0: ['hello', None]
        """
        return self.call("from_base64", self)

    def encode(self, charset: Any) -> Self:
        """The bytes in a character set: US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.

        >>> show(col("s").encode("UTF-8"), s=["é"])
        _c0: [b'\\xc3\\xa9']
        """
        return self.call("encode", self, charset)

    def decode(self, charset: Any) -> Self:
        """Decodes bytes in one of these character sets to a string.

        >>> show(col("b").decode("ISO-8859-1"), b=[b"\\xe9"])
        _c0: ['é']
        """
        return self.call("decode", self, charset)

    def elt(self, expr: Any, *exprs: Any) -> Self:
        """The expression at this position, counted from 1; null if there is none.

        >>> show(col("n").elt("a", "b"), n=[1, 2, 3])
        _c0: ['a', 'b', None]
        """
        return self.call("elt", self, expr, *exprs)

    def printf(self, *obj: Any) -> Self:
        """Formats values with C's and Java's directives: %s %d %5.2f %x %c %e %b %n %%; null if a value does not fit.

        Dates and times are printed as text; Flink prints its internal form, for example the days since 1970.

        >>> show(lit("%s: %05.1f%%").printf(col("s"), col("x")), s=["a"], x=[2.25])
        _c0: ['a: 002.3%']
        """
        return self.call("printf", self, *obj)


def _values_of(kinds: Sequence[pa.DataType], _: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    common = common_type(kinds[1:])
    if common is None:
        raise TypeError("all must have one type: cast() some of them")
    return [WHOLE, *[common] * (len(kinds) - 1)]


@function("ascii", TypeFamily.STRING, coerce=each(TEXT))
def _ascii(values: Values) -> Values:
    first = same_for_all(_core.encode_charset, values, "UTF-8")
    return _first_byte(first)


@columnwise
def _first_byte(values: pa.Array) -> pa.Array:
    first = pc.binary_slice(values, 0, 1)
    # Maps bytes to numbers with a table of all bytes, because there is no kernel for it.
    table = pa.array([b"", *(bytes([byte]) for byte in range(_BYTE_VALUES))], pa.binary())
    place = pc.index_in(first, value_set=table)
    return pc.max_element_wise(pc.subtract(place, pa.scalar(1, pa.int32())), pa.scalar(0, pa.int32()), skip_nulls=False)


@function("chr", TypeFamily.INTEGER, coerce=each(WHOLE))
@columnwise
def _chr(values: pa.Array) -> pa.Array:
    table = pa.array(["", *map(chr, range(_BYTE_VALUES))])
    low = pc.bit_wise_and(values, pa.scalar(_BYTE_VALUES - 1, WHOLE))
    return table.take(pc.if_else(pc.less(values, 0), 0, pc.add(low, 1)))


@function("bin", TypeFamily.INTEGER, coerce=each(WHOLE))
def _bin(values: Values) -> Values:
    return same_for_all(_core.format_integers, values, 1)


@function("hex", TypeFamily.ANY)
def _hex(values: Values) -> Values:
    if pa.types.is_integer(values.type):
        return same_for_all(_core.format_integers, values.cast(WHOLE), 4)
    return same_for_all(_core.encode_bytes, _as_bytes(values), "hex")


@function("unhex", TypeFamily.STRING, coerce=each(TEXT))
def _unhex(values: Values) -> Values:
    return same_for_all(_core.decode_bytes, values, "hex")


@function("to_base64", TypeFamily.ANY)
def _to_base64(values: Values) -> Values:
    return same_for_all(_core.encode_bytes, _as_bytes(values), "base64")


@function("from_base64", TypeFamily.STRING, coerce=each(TEXT))
def _from_base64(values: Values) -> Values:
    decoded = same_for_all(_core.decode_bytes, values, "base64")
    if null_count(decoded) != null_count(values):
        raise ValueError("it is not valid base64")
    return same_for_all(_core.decode_charset, decoded, "UTF-8")


def _as_bytes(values: Values) -> Values:
    if is_text(values.type) or pa.types.is_binary(values.type):
        return values
    if is_bytes(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.binary())
    raise TypeError("it takes a string or bytes")


@function("encode", TypeFamily.STRING, TypeFamily.STRING, coerce=each(TEXT))
def _encode(values: Values, charset: Values) -> Values:
    return same_for_all(_core.encode_charset, values, _charset(charset))


@function("decode", TypeFamily.BYTES, TypeFamily.STRING, coerce=each(pa.binary(), TEXT))
def _decode(values: Values, charset: Values) -> Values:
    return same_for_all(_core.decode_charset, values, _charset(charset))


def _charset(charset: Values) -> str:
    name = charset.as_py() if isinstance(charset, pa.Scalar) else None
    if not isinstance(name, str) or name.upper() not in _CHARSETS:
        raise TypeError(f"the character set must be one of {', '.join(_CHARSETS)}")
    return name.upper()


@function("elt", TypeFamily.INTEGER, TypeFamily.ANY, variadic=True, coerce=_values_of)
@columnwise
def _elt(index: pa.Array, *values: pa.Array) -> pa.Array:
    is_inside = pc.and_(pc.greater_equal(index, 1), pc.less_equal(index, len(values)))
    place = pc.if_else(is_inside, pc.subtract(index, 1), pa.scalar(None, WHOLE))
    return pc.choose(pc.fill_null(place, len(values)), *values, pa.nulls(len(index), values[0].type))


@function("printf", TypeFamily.STRING, TypeFamily.ANY, variadic=True, coerce=lambda kinds, _: [TEXT, *kinds[1:]])
@columnwise
def _printf(pattern: pa.Array, *values: pa.Array) -> pa.Array:
    return formatted(pattern, values)
