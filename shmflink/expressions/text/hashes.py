"""Digests of strings, as hexadecimal digits."""

from __future__ import annotations

from typing import Any, Final, Self

import pyarrow as pa

from shmflink import _core
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.coercions import text_where_null
from shmflink.expressions.types.rules import is_bytes
from shmflink.expressions.vectors import as_strings, columnwise, literal_value

__all__ = ["HashMethods"]

_SHA2_BITS: Final = (224, 256, 384, 512)


class HashMethods(Node):
    """Digests of strings (in UTF-8) or bytes, in lower-case hexadecimal digits. Null if the value is null."""

    __slots__ = ()

    @property
    def md5(self) -> Self:
        """MD5, 32 digits. For legacy interfaces; not secure against forgery.

        >>> show(col("a").md5, a=["abc", None])
        _c0: ['900150983cd24fb0d6963f7d28e17f72', None]
        """
        return self.call("hex_digest", self, parameters=("md5",))

    @property
    def sha1(self) -> Self:
        """SHA-1, 40 digits. For legacy interfaces; not secure against forgery.

        >>> show(col("a").sha1, a=["abc"])
        _c0: ['a9993e364706816aba3e25717850c26c9cd0d89d']
        """
        return self.call("hex_digest", self, parameters=("sha1",))

    @property
    def sha224(self) -> Self:
        """SHA-224, 56 digits.

        >>> show(col("a").sha224, a=["abc"])
        _c0: ['23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7']
        """
        return self.call("hex_digest", self, parameters=("sha224",))

    @property
    def sha256(self) -> Self:
        """SHA-256, 64 digits.

        >>> show(col("a").sha256, a=["abc"])
        _c0: ['ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad']
        """
        return self.call("hex_digest", self, parameters=("sha256",))

    @property
    def sha384(self) -> Self:
        """SHA-384, 96 digits.

        >>> show(col("a").sha384.left(20), a=["abc"])
        _c0: ['cb00753f45a35e8bb5a0']
        """
        return self.call("hex_digest", self, parameters=("sha384",))

    @property
    def sha512(self) -> Self:
        """SHA-512, 128 digits.

        >>> show(col("a").sha512.left(20), a=["abc"])
        _c0: ['ddaf35a193617abacc41']
        """
        return self.call("hex_digest", self, parameters=("sha512",))

    def sha2(self, hash_length: Any) -> Self:
        """SHA-2 of 224, 256, 384 or 512 bits; the length is a constant. Null if the length is null.

        >>> show(col("a").sha2(224) == col("a").sha224, a=["abc"])
        _c0: [True]
        """
        bits = literal_value(hash_length, "the length of a hash")
        if bits is None:
            return self.call("no_digest", self)
        if bits not in _SHA2_BITS:
            raise TypeMismatchError(f"sha2() takes 224, 256, 384 or 512 bits, got {bits!r}")
        return self.call("hex_digest", self, parameters=(f"sha{bits}",))


@function("no_digest", TypeFamily.ANY)
def _no_digest(_values: Values) -> Values:
    return pa.scalar(None, pa.utf8())


@function("hex_digest", TypeFamily.ANY, coerce=text_where_null)
@columnwise
def _hex_digest(values: pa.Array, algorithm: str) -> Values:
    if is_bytes(values.type):
        return _core.hex_digest(values.cast(pa.binary()), algorithm)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise TypeError("it takes strings or bytes")
    return _core.hex_digest(as_strings(values), algorithm)
