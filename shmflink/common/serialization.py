"""Records to bytes and back, for connectors that carry bytes (`pyflink.common.serialization`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from shmflink.connectors.file_system.encoders import BulkWriterFactory, Encoder
from shmflink.errors import TypeMismatchError

__all__ = [
    "BulkWriterFactory",
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "SerializationSchema",
    "SimpleStringSchema",
]


class SerializationSchema(ABC):
    """Turns a record into bytes."""

    @abstractmethod
    def serialize(self, element: Any) -> bytes:
        """The record's bytes. *shmflink only*: in PyFlink the JVM does this."""


class DeserializationSchema(ABC):
    """Turns bytes into a record."""

    @abstractmethod
    def deserialize(self, message: bytes) -> Any:
        """The record. *shmflink only*: in PyFlink the JVM does this."""


class SimpleStringSchema(SerializationSchema, DeserializationSchema):
    """Strings in a character set."""

    def __init__(self, charset: str = "UTF-8") -> None:
        """Raises LookupError for an unknown character set."""
        "".encode(charset)
        self._charset = charset

    def serialize(self, element: Any) -> bytes:
        if not isinstance(element, str):
            raise TypeMismatchError(f"SimpleStringSchema takes strings, got {type(element).__name__}: {element!r}")
        return element.encode(self._charset)

    def deserialize(self, message: bytes) -> str:
        return message.decode(self._charset)


class ByteArraySchema(SerializationSchema, DeserializationSchema):
    """Bytes as they are."""

    def serialize(self, element: Any) -> bytes:
        if not isinstance(element, bytes):
            raise TypeMismatchError(f"ByteArraySchema takes bytes, got {type(element).__name__}: {element!r}")
        return element

    def deserialize(self, message: bytes) -> bytes:
        return message
