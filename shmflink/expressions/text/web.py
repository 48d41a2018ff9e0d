"""URLs and their parts, URL encoding, IPv4 addresses."""

from __future__ import annotations

from typing import Any, Final, Self

import pyarrow as pa

from shmflink import _core
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.coercions import each
from shmflink.expressions.vectors import columnwise, literal_value

__all__ = ["WebMethods"]

_PARTS: Final = ("PROTOCOL", "AUTHORITY", "USERINFO", "HOST", "PATH", "FILE", "QUERY", "REF")


class WebMethods(Node):
    """Functions of URLs and addresses. Null if the text is null or invalid for the function."""

    __slots__ = ()

    def url_encode(self) -> Self:
        """The text as `application/x-www-form-urlencoded`, in UTF-8.

        >>> show(col("a").url_encode(), a=["a b&ä"])
        _c0: ['a+b%26%C3%A4']
        """
        return self.call("url_encode", self)

    def url_decode(self) -> Self:
        """The inverse of `url_encode`; null if an escape is invalid.

        >>> show(col("a").url_decode(), a=["a+b%26%C3%A4", "50%"])
        _c0: ['a b&ä', None]
        """
        return self.call("url_decode", self)

    def parse_url(self, part_to_extract: Any, key: Any = None) -> Self:
        """PROTOCOL, AUTHORITY, USERINFO, HOST, PATH, FILE, QUERY or REF of a URL; with a key, its value in the query.

        Part and key are constants. Null for another part.

        >>> show(col("a").parse_url("HOST"), col("a").parse_url("QUERY", "q"), a=["https://flink.org/docs?q=1&n=2#top"])
        _c0: ['flink.org']
        _c1: ['1']
        """
        part = literal_value(part_to_extract, "the part of a URL")
        name = literal_value(key, "a key of a query")
        if not isinstance(part, str):
            raise TypeMismatchError(f"parse_url() takes one of {', '.join(_PARTS)}, got {part!r}")
        if name is not None and part != "QUERY":
            raise TypeMismatchError(f"parse_url(): only QUERY has keys, not {part}")
        return self.call("parse_url", self, parameters=(part, name))

    def inet_aton(self) -> Self:
        """An IPv4 address as int64; MySQL's short forms too (`127.1`).

        >>> show(col("a").inet_aton(), a=["127.0.0.1", "127.1", "1.2.3.4.5"])
        _c0: [2130706433, 2130706433, None]
        """
        return self.call("inet_aton", self)

    def inet_ntoa(self) -> Self:
        """A whole number as an IPv4 address; null outside 0 to 4294967295.

        >>> show(col("a").inet_ntoa(), a=[2130706433, -1])
        _c0: ['127.0.0.1', None]
        """
        return self.call("inet_ntoa", self)


@function("url_encode", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _url_encode(texts: pa.Array) -> Values:
    return _core.url_encode(texts)


@function("url_decode", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _url_decode(texts: pa.Array) -> Values:
    return _core.url_decode(texts)


@function("parse_url", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _parse_url(texts: pa.Array, part: str, key: str | None) -> Values:
    return _core.parse_url(texts, part, key) if part in _PARTS else pa.nulls(len(texts), pa.utf8())


@function("inet_aton", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _inet_aton(texts: pa.Array) -> Values:
    return _core.inet_aton(texts)


@function("inet_ntoa", TypeFamily.INTEGER, coerce=each(pa.int64()))
@columnwise
def _inet_ntoa(numbers: pa.Array) -> Values:
    return _core.inet_ntoa(numbers)
