"""Classes whose PyFlink counterparts are generic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

__all__ = ["ACC", "IN", "IN2", "KEY", "OUT", "W2", "K", "T", "TakesTypeParameters", "V", "W"]

if TYPE_CHECKING:  # with defaults, so that users may omit them; Python has such defaults from 3.13 on
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
    K = TypeVar("K", default=Any)
    V = TypeVar("V", default=Any)
    IN = TypeVar("IN", default=Any)
    IN2 = TypeVar("IN2", default=Any)
    ACC = TypeVar("ACC", default=Any)
    OUT = TypeVar("OUT", default=Any)
    KEY = TypeVar("KEY", default=Any)
    W = TypeVar("W", default=Any)
    W2 = TypeVar("W2", default=Any)
else:
    from typing import TypeVar

    T, K, V, IN, IN2, ACC, OUT, KEY, W, W2 = map(TypeVar, ("T", "K", "V", "IN", "IN2", "ACC", "OUT", "KEY", "W", "W2"))


class TakesTypeParameters:
    """`MapFunction[int, str]` is `MapFunction`: type parameters are for readers and, if a class is generic, for type
    checkers.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __class_getitem__(cls, parameters: Any) -> type[Self]:
            return cls
