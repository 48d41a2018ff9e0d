"""Failures as Flink's Java clients read them: an `org.apache.flink.util.SerializedThrowable`, serialized by hand.

The clients deserialize the field `serialized-throwable` and fail on anything else. It is written here as Java's Object
Serialization Stream Protocol wants it, without references to earlier objects. Fields and serial version UIDs are those
of Flink 2.3 and of Java 8 to 21.
"""

from __future__ import annotations

import base64
import struct
from typing import Final

__all__ = ["java_throwable", "serialized_throwable"]

_MAGIC: Final = b"\xac\xed\x00\x05"
_NULL, _OBJECT, _CLASS, _ARRAY, _END = b"p", b"s", b"r", b"u", b"x"
_STRING, _LONG_STRING = b"t", b"|"
_SERIALIZABLE, _WRITES_ITSELF = b"\x02", b"\x03"
_TEXT_MAX: Final = 64 * 1024  # characters of a failure's text; a traceback that is longer loses its middle

_THROWABLE_FIELDS: Final = (
    ("L", "cause", "Ljava/lang/Throwable;"),
    ("L", "detailMessage", "Ljava/lang/String;"),
    ("[", "stackTrace", "[Ljava/lang/StackTraceElement;"),
    ("L", "suppressedExceptions", "Ljava/util/List;"),
)
_SERIALIZED_FIELDS: Final = (
    ("L", "fullStringifiedStackTrace", "Ljava/lang/String;"),
    ("L", "originalErrorClassName", "Ljava/lang/String;"),
    ("[", "serializedException", "[B"),
)


def serialized_throwable(kind: str, text: str) -> dict[str, object]:
    """A `failure-cause`. `kind` is the class that the client shows, `text` its message and stack."""
    shown = _shortened(f"{kind}: {text}")
    encoded = base64.b64encode(java_throwable(kind, shown)).decode()
    return {"class": kind, "stack-trace": shown, "serialized-throwable": encoded}


def java_throwable(kind: str, text: str) -> bytes:
    """A SerializedThrowable of an exception of class `kind`, whose stack trace prints as `text`."""
    throwable = _class("java.lang.Throwable", 0xD5C635273977B8CB, _WRITES_ITSELF, _THROWABLE_FIELDS, _NULL)
    exception = _class("java.lang.Exception", 0xD0FD1F3E1A3B1CC4, _SERIALIZABLE, (), throwable)
    name = "org.apache.flink.util.SerializedThrowable"
    serialized = _class(name, 0x65169DF51FA713F3, _SERIALIZABLE, _SERIALIZED_FIELDS, exception)
    message = _string(text.partition("\n")[0])
    trace = _string(text + "\n")
    own = _NULL + message + _no_stack() + _empty_list() + _END  # the fields of Throwable
    return _MAGIC + _OBJECT + serialized + own + trace + _string(kind) + _NULL


def _no_stack() -> bytes:
    return _ARRAY + _class("[Ljava.lang.StackTraceElement;", 0x02462A3C3CFD2239, _SERIALIZABLE, (), _NULL) + b"\0" * 4


def _empty_list() -> bytes:
    return _OBJECT + _class("java.util.Collections$EmptyList", 0x7AB817B43CA79EDE, _SERIALIZABLE, (), _NULL)


def _class(name: str, uid: int, flags: bytes, fields: tuple[tuple[str, str, str], ...], parent: bytes) -> bytes:
    described = b"".join(kind.encode() + _utf(field) + _string(signature) for kind, field, signature in fields)
    return (
        _CLASS
        + _utf(name)
        + struct.pack(">Q", uid)
        + flags
        + struct.pack(">H", len(fields))
        + described
        + _END
        + parent
    )


def _utf(text: str) -> bytes:
    encoded = _modified_utf8(text)
    return struct.pack(">H", len(encoded)) + encoded


def _string(text: str) -> bytes:
    encoded = _modified_utf8(text)
    if len(encoded) < 1 << 16:
        return _STRING + struct.pack(">H", len(encoded)) + encoded
    return _LONG_STRING + struct.pack(">Q", len(encoded)) + encoded


def _modified_utf8(text: str) -> bytes:
    """Java's: NUL takes two bytes, and what is beyond the basic plane is two surrogates of three bytes each."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = struct.unpack(f">{len(units) // 2}H", units)
    plain = "".join(map(chr, codes)).encode("utf-8", "surrogatepass")
    return plain.replace(b"\0", b"\xc0\x80")


def _shortened(text: str) -> str:
    if len(text) <= _TEXT_MAX:
        return text
    half = _TEXT_MAX // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out)\n{text[-half:]}"
