"""Numbers: constants, extremes of several values, random numbers."""

from __future__ import annotations

from typing import Any

from shmflink.expressions.expression import Expression
from shmflink.expressions.numbers.randoms import RandomSequence

__all__ = ["atan2", "e", "greatest", "least", "log", "negative", "pi", "rand", "rand_integer", "uuid"]


def negative(v: Any) -> Expression:
    """The negated number.

    >>> show(negative(col("a")), a=[3, None])
    _c0: [-3, None]
    """
    return Expression.call("negative", v)


def pi() -> Expression:
    """The number pi.

    >>> show(pi(), a=[0])
    _c0: [3.141592653589793]
    """
    return Expression.call("pi")


def e() -> Expression:
    """The base of natural logarithms.

    >>> show(e(), a=[0])
    _c0: [2.718281828459045]
    """
    return Expression.call("e")


def log(v: Any, base: Any = None) -> Expression:
    """Logarithm of a number to a base; the natural logarithm by default.

    >>> show(log(col("a"), 10), a=[100.0])
    _c0: [2.0]
    """
    return Expression.call("log", v) if base is None else Expression.call("log", v, base)


def atan2(y: Any, x: Any) -> Expression:
    """Angle of the point (x, y), in radians from -pi to pi.

    >>> show(atan2(col("y"), col("x")), y=[0.0], x=[1.0])
    _c0: [0.0]
    """
    return Expression.call("atan2", y, x)


def greatest(*values: Any) -> Expression:
    """*shmflink only* (SQL's GREATEST). The greatest of several values; null if one of them is null.

    NaN is greater than all numbers.

    >>> show(greatest(col("a"), col("b"), 2), a=[1, 5, None], b=[3, 4, 9])
    _c0: [3, 5, None]
    """
    return Expression.call("greatest", *values)


def least(*values: Any) -> Expression:
    """*shmflink only* (SQL's LEAST). The smallest of several values; null if one of them is null.

    >>> show(least(col("a"), col("b"), 2), a=[1, 5, None], b=[3, 4, 9])
    _c0: [1, 2, None]
    """
    return Expression.call("least", *values)


def rand(seed: Any = None) -> Expression:
    """Random float64 in [0, 1). With the same seed, every subtask gets the same sequence.

    >>> show(rand(7) == rand(7), a=[0, 0])
    _c0: [True, True]
    """
    return Expression.call("rand", parameters=(RandomSequence.of(seed),))


def rand_integer(bound: Any, seed: Any = None) -> Expression:
    """Random int64 in [0, bound); null if the bound is null or below 1.

    >>> show(rand_integer(10, 7) < 10, a=[0, 0])
    _c0: [True, True]
    """
    return Expression.call("rand_integer", bound, parameters=(RandomSequence.of(seed),))


def uuid() -> Expression:
    """Random UUID (RFC 9562, version 4) as a string, from the system's secure generator.

    >>> show(uuid().char_length, a=[0, 0])
    _c0: [36, 36]
    """
    return Expression.call("uuid", parameters=(RandomSequence.of(),))
