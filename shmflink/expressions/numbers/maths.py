"""Mathematics: logarithms, trigonometry, signs, extremes. (Operators are in `arithmetic`, rounding in `rounding`.)"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.types.coercions import alike
from shmflink.expressions.vectors import as_double, typed

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["MathMethods", "atan2", "e", "greatest", "least", "log", "pi"]


class MathMethods:
    """Functions of numbers. Null where the number is null; floating-point results are float64."""

    __slots__ = ()

    @property
    def exp(self) -> Expression:
        """e to the power of the number.

        >>> show(col("a").exp, a=[0.0])
        _c0: [1.0]
        """
        return call("exp", self)

    @property
    def ln(self) -> Expression:
        """Natural logarithm: -inf for 0, NaN below.

        >>> show(col("a").ln, a=[1.0, 0.0])
        _c0: [0.0, -inf]
        """
        return call("ln", self)

    @property
    def log10(self) -> Expression:
        """Logarithm to base 10.

        >>> show(col("a").log10, a=[1000])
        _c0: [3.0]
        """
        return call("log10", self)

    @property
    def log2(self) -> Expression:
        """Logarithm to base 2.

        >>> show(col("a").log2, a=[8])
        _c0: [3.0]
        """
        return call("log2", self)

    def log(self, base: Any = None) -> Expression:
        """Logarithm to this base; the natural one where none is given.

        >>> show(col("a").log(2), a=[8.0])
        _c0: [3.0]
        """
        return call("log", self) if base is None else call("log", self, base)

    @property
    def sqrt(self) -> Expression:
        """Square root; NaN for a negative number.

        >>> show(col("a").sqrt, a=[4.0, None])
        _c0: [2.0, None]
        """
        return call("sqrt", self)

    @property
    def abs(self) -> Expression:
        """The number without its sign, in its type. The least integer of a type stays what it is, as in Java.

        >>> show(col("a").abs, a=[-3, 3])
        _c0: [3, 3]
        """
        return call("abs", self)

    @property
    def sign(self) -> Expression:
        """-1, 0 or 1, in the type of the number.

        >>> show(col("a").sign, a=[-2.5, 0.0, 7.0])
        _c0: [-1.0, 0.0, 1.0]
        """
        return call("sign", self)

    @property
    def degrees(self) -> Expression:
        """Radians as degrees.

        >>> show(pi().degrees, a=[0])
        _c0: [180.0]
        """
        return call("degrees", self)

    @property
    def radians(self) -> Expression:
        """Degrees as radians.

        >>> show(col("a").radians == pi(), a=[180])
        _c0: [True]
        """
        return call("radians", self)

    @property
    def sin(self) -> Expression:
        """Sine of radians.

        >>> show(col("a").sin, a=[0.0])
        _c0: [0.0]
        """
        return call("sin", self)

    @property
    def cos(self) -> Expression:
        """Cosine of radians.

        >>> show(col("a").cos, a=[0.0])
        _c0: [1.0]
        """
        return call("cos", self)

    @property
    def tan(self) -> Expression:
        """Tangent of radians.

        >>> show(col("a").tan, a=[0.0])
        _c0: [0.0]
        """
        return call("tan", self)

    @property
    def cot(self) -> Expression:
        """Cotangent of radians: inf for 0.

        >>> show(col("a").cot, a=[0.0])
        _c0: [inf]
        """
        return call("cot", self)

    @property
    def asin(self) -> Expression:
        """Arc sine, in radians; NaN outside of -1 to 1.

        >>> show(col("a").asin, a=[0.0, 2.0])
        _c0: [0.0, nan]
        """
        return call("asin", self)

    @property
    def acos(self) -> Expression:
        """Arc cosine, in radians; NaN outside of -1 to 1.

        >>> show(col("a").acos, a=[1.0])
        _c0: [0.0]
        """
        return call("acos", self)

    @property
    def atan(self) -> Expression:
        """Arc tangent, in radians.

        >>> show(col("a").atan, a=[0.0])
        _c0: [0.0]
        """
        return call("atan", self)

    @property
    def sinh(self) -> Expression:
        """Hyperbolic sine.

        >>> show(col("a").sinh, a=[0.0])
        _c0: [0.0]
        """
        return call("sinh", self)

    @property
    def cosh(self) -> Expression:
        """Hyperbolic cosine.

        >>> show(col("a").cosh, a=[0.0])
        _c0: [1.0]
        """
        return call("cosh", self)

    @property
    def tanh(self) -> Expression:
        """Hyperbolic tangent.

        >>> show(col("a").tanh, a=[0.0])
        _c0: [0.0]
        """
        return call("tanh", self)


def pi() -> Expression:
    """The number pi.

    >>> show(pi(), a=[0])
    _c0: [3.141592653589793]
    """
    return call("pi")


def e() -> Expression:
    """The base of natural logarithms.

    >>> show(e(), a=[0])
    _c0: [2.718281828459045]
    """
    return call("e")


def log(v: Any, base: Any = None) -> Expression:
    """Logarithm of a number to a base; the natural one where none is given.

    >>> show(log(col("a"), 10), a=[100.0])
    _c0: [2.0]
    """
    return call("log", v) if base is None else call("log", v, base)


def atan2(y: Any, x: Any) -> Expression:
    """Angle of the point (x, y), in radians from -pi to pi.

    >>> show(atan2(col("y"), col("x")), y=[0.0], x=[1.0])
    _c0: [0.0]
    """
    return call("atan2", y, x)


def greatest(*values: Any) -> Expression:
    """*shmflink only* (SQL's GREATEST). The greatest of several values; null where one of them is null.

    NaN is above all numbers.

    >>> show(greatest(col("a"), col("b"), 2), a=[1, 5, None], b=[3, 4, 9])
    _c0: [3, 5, None]
    """
    return call("greatest", *values)


def least(*values: Any) -> Expression:
    """*shmflink only* (SQL's LEAST). The least of several values; null where one of them is null.

    >>> show(least(col("a"), col("b"), 2), a=[1, 5, None], b=[3, 4, 9])
    _c0: [1, 2, None]
    """
    return call("least", *values)


_OF_DOUBLES = {
    "exp": pc.exp,
    "ln": pc.ln,
    "log10": pc.log10,
    "log2": pc.log2,
    "sqrt": pc.sqrt,
    "sin": pc.sin,
    "cos": pc.cos,
    "tan": pc.tan,
    "cot": lambda radians: pc.divide(1.0, pc.tan(radians)),
    "asin": pc.asin,
    "acos": pc.acos,
    "atan": pc.atan,
    "sinh": pc.sinh,
    "cosh": pc.cosh,
    "tanh": pc.tanh,
    "degrees": lambda radians: pc.multiply(radians, 180.0 / math.pi),
    "radians": lambda degrees: pc.multiply(degrees, math.pi / 180.0),
}


def _register_functions_of_doubles() -> None:
    for name, compute in _OF_DOUBLES.items():
        function(name, Kind.NUMBER)(lambda value, compute=compute: compute(as_double(value)))


_register_functions_of_doubles()


@function("log", Kind.NUMBER, Kind.NUMBER, optional=1)
def _log(value: Values, base: Values | None = None) -> Values:
    if base is None:
        return pc.ln(as_double(value))
    return pc.logb(as_double(value), as_double(base))


@function("atan2", Kind.NUMBER, Kind.NUMBER)
def _atan2(y: Values, x: Values) -> Values:
    return pc.atan2(as_double(y), as_double(x))


@function("abs", Kind.NUMBER)
def _abs(value: Values) -> Values:
    return pc.abs(typed(value, pa.int64()))


@function("sign", Kind.NUMBER)
def _sign(value: Values) -> Values:
    value = typed(value, pa.int64())
    if pa.types.is_decimal(value.type):
        return _decimal_sign(value)
    return pc.cast(pc.sign(value), value.type)


def _decimal_sign(value: Values) -> Values:
    """In the type of the number, with room for one digit before the point."""
    scale = value.type.scale
    wide = pc.cast(pc.cast(pc.sign(value), pa.int8()), pa.decimal128(min(38, scale + 3), scale))
    return pc.cast(wide, pa.decimal128(max(value.type.precision, min(38, scale + 1)), scale))


@function("greatest", Kind.COMPARABLE, variadic=True, coerce=alike)
def _greatest(*values: Values) -> Values:
    result = pc.max_element_wise(*values, skip_nulls=False)
    if not pa.types.is_floating(result.type):
        return result
    is_nan = reduce(pc.or_, [pc.is_nan(value) for value in values])
    return pc.if_else(is_nan, pa.scalar(math.nan, result.type), result)


@function("least", Kind.COMPARABLE, variadic=True, coerce=alike)
def _least(*values: Values) -> Values:
    return pc.min_element_wise(*values, skip_nulls=False)


@function("pi")
def _pi() -> Values:
    return pa.scalar(math.pi)


@function("e")
def _e() -> Values:
    return pa.scalar(math.e)
