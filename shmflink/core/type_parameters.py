"""Classes whose PyFlink counterparts are generic."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["TakesTypeParameters"]


class TakesTypeParameters:
    """`MapFunction[int, str]` is `MapFunction`: type parameters are for the reader."""

    __slots__ = ()

    def __class_getitem__(cls, parameters: Any) -> type[Self]:
        return cls
