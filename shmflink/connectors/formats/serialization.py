"""Records to bytes and back, for connectors that carry bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic

from shmflink.core.types.parameters import OUT, TakesTypeParameters
from shmflink.errors import TypeMismatchError

__all__ = [
    "ByteArraySchema",
    "DeserializationSchema",
    "RowFieldExtractorSchema",
    "SerializationSchema",
    "SimpleStringSchema",
]


class SerializationSchema(ABC):
    """Turns a record into bytes."""

    def open(self, context: Any) -> None:  # noqa: B027  many have nothing to set up
        """Called before the first record."""

    @abstractmethod
    def serialize(self, element: Any) -> bytes:
        """The record's bytes. *shmflink only*: in PyFlink the JVM does this."""


class DeserializationSchema(TakesTypeParameters, ABC, Generic[OUT]):
    """Turns bytes into a record."""

    def open(self, context: Any) -> None:
        """Called before the first record."""

    @abstractmethod
    def deserialize(self, message: bytes) -> OUT | None:
        """The record; None for a message without a record. *shmflink only*: in PyFlink the JVM does this."""


class SimpleStringSchema(SerializationSchema, DeserializationSchema[str]):
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


class ByteArraySchema(SerializationSchema, DeserializationSchema[bytes]):
    """Bytes as they are."""

    def serialize(self, element: Any) -> bytes:
        if not isinstance(element, bytes):
            raise TypeMismatchError(f"ByteArraySchema takes bytes, got {type(element).__name__}: {element!r}")
        return element

    def deserialize(self, message: bytes) -> bytes:
        return message


class RowFieldExtractorSchema(SerializationSchema):
    """One field of a row, as text: for keys of messages. Returns no bytes if the row or the field is None."""

    def __init__(self, field_index: int) -> None:
        """Raises ValueError for a negative index."""
        if field_index < 0:
            raise ValueError(f"Field index must be non-negative, got {field_index}")
        self.field_index = field_index

    def serialize(self, element: Any) -> bytes:
        value = None if element is None else element[self.field_index]
        if value is None or isinstance(value, bytes):
            return value or b""
        return (str(value).lower() if isinstance(value, bool) else str(value)).encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowFieldExtractorSchema) and self.field_index == other.field_index

    def __hash__(self) -> int:
        return hash((RowFieldExtractorSchema, self.field_index))
