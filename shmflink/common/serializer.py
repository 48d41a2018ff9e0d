"""Serializers of single values (`pyflink.common.serializer`), for custom window assigners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from typing import Generic

from shmflink.core.types.parameters import T, TakesTypeParameters

__all__ = ["TypeSerializer", "VoidNamespaceSerializer"]


class TypeSerializer(TakesTypeParameters, ABC, Generic[T]):
    """Writes a value to a stream of bytes and reads it back. Equal by class.

    PyFlink asks a window assigner for the serializer of its windows. shmflink stores windows without one and never
    calls it.
    """

    @abstractmethod
    def serialize(self, element: T, stream: BytesIO) -> None:
        """Appends the element."""

    @abstractmethod
    def deserialize(self, stream: BytesIO) -> T:
        """The next element."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return type(self).__name__


class VoidNamespaceSerializer(TypeSerializer[bytes]):
    """Serializes no value."""

    def serialize(self, element: object, stream: BytesIO) -> None:
        """Writes nothing."""

    def deserialize(self, stream: BytesIO) -> bytes:
        return b""
