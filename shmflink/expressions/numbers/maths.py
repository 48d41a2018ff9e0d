"""Mathematics: logarithms, trigonometry, signs, extremes. (Operators are in `arithmetic`, rounding in `rounding`.)"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any, Final, Self

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.coercions import alike
from shmflink.expressions.vectors import as_double, typed

__all__ = ["MathMethods"]


class MathMethods(Node):
    """Functions of numbers. Null if the number is null; floating-point results are float64."""

    __slots__ = ()

    @property
    def exp(self) -> Self:
        """e to the power of the number.

        >>> show(col("a").exp, a=[0.0])
        _c0: [1.0]
        """
        return self.call("exp", self)

    @property
    def ln(self) -> Self:
        """Natural logarithm: -inf for 0, NaN for negative numbers.

        >>> show(col("a").ln, a=[1.0, 0.0])
        _c0: [0.0, -inf]
        """
        return self.call("ln", self)

    @property
    def log10(self) -> Self:
        """Logarithm to base 10.

        >>> show(col("a").log10, a=[1000])
        _c0: [3.0]
        """
        return self.call("log10", self)

    @property
    def log2(self) -> Self:
        """Logarithm to base 2.

        >>> show(col("a").log2, a=[8])
        _c0: [3.0]
        """
        return self.call("log2", self)

    def log(self, base: Any = None) -> Self:
        """Logarithm to this base; the natural logarithm by default.

        >>> show(col("a").log(2), a=[8.0])
        _c0: [3.0]
        """
        return self.call("log", self) if base is None else self.call("log", self, base)

    @property
    def sqrt(self) -> Self:
        """Square root; NaN for a negative number.

        >>> show(col("a").sqrt, a=[4.0, None])
        _c0: [2.0, None]
        """
        return self.call("sqrt", self)

    @property
    def abs(self) -> Self:
        """The absolute value, in the number's type. The smallest integer of a type is unchanged, as in Java.

        >>> show(col("a").abs, a=[-3, 3])
        _c0: [3, 3]
        """
        return self.call("abs", self)

    @property
    def sign(self) -> Self:
        """-1, 0 or 1, in the type of the number.

        >>> show(col("a").sign, a=[-2.5, 0.0, 7.0])
        _c0: [-1.0, 0.0, 1.0]
        """
        return self.call("sign", self)

    @property
    def degrees(self) -> Self:
        """Radians as degrees.

        >>> show(pi().degrees, a=[0])
        _c0: [180.0]
        """
        return self.call("degrees", self)

    @property
    def radians(self) -> Self:
        """Degrees as radians.

        >>> show(col("a").radians == pi(), a=[180])
        _c0: [True]
        """
        return self.call("radians", self)

    @property
    def sin(self) -> Self:
        """Sine of radians.

        >>> show(col("a").sin, a=[0.0])
        _c0: [0.0]
        """
        return self.call("sin", self)

    @property
    def cos(self) -> Self:
        """Cosine of radians.

        >>> show(col("a").cos, a=[0.0])
        _c0: [1.0]
        """
        return self.call("cos", self)

    @property
    def tan(self) -> Self:
        """Tangent of radians.

        >>> show(col("a").tan, a=[0.0])
        _c0: [0.0]
        """
        return self.call("tan", self)

    @property
    def cot(self) -> Self:
        """Cotangent of radians: inf for 0.

        >>> show(col("a").cot, a=[0.0])
        _c0: [inf]
        """
        return self.call("cot", self)

    @property
    def asin(self) -> Self:
        """Arc sine, in radians; NaN outside -1 to 1.

        >>> show(col("a").asin, a=[0.0, 2.0])
        _c0: [0.0, nan]
        """
        return self.call("asin", self)

    @property
    def acos(self) -> Self:
        """Arc cosine, in radians; NaN outside -1 to 1.

        >>> show(col("a").acos, a=[1.0])
        _c0: [0.0]
        """
        return self.call("acos", self)

    @property
    def atan(self) -> Self:
        """Arc tangent, in radians.

        >>> show(col("a").atan, a=[0.0])
        _c0: [0.0]
        """
        return self.call("atan", self)

    @property
    def sinh(self) -> Self:
        """Hyperbolic sine.

        >>> show(col("a").sinh, a=[0.0])
        _c0: [0.0]
        """
        return self.call("sinh", self)

    @property
    def cosh(self) -> Self:
        """Hyperbolic cosine.

        >>> show(col("a").cosh, a=[0.0])
        _c0: [1.0]
        """
        return self.call("cosh", self)

    @property
    def tanh(self) -> Self:
        """Hyperbolic tangent.

        >>> show(col("a").tanh, a=[0.0])
        _c0: [0.0]
        """
        return self.call("tanh", self)


_OF_ARROW: Final = (
    "exp",
    "ln",
    "log10",
    "log2",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
)
_OF_DOUBLES: Final = {
    "cot": lambda radians: pc.divide(1.0, pc.tan(radians)),
    "degrees": lambda radians: pc.multiply(radians, 180.0 / math.pi),
    "radians": lambda degrees: pc.multiply(degrees, math.pi / 180.0),
}


def _register_functions_of_doubles() -> None:
    for name in _OF_ARROW:
        function(name, TypeFamily.NUMBER)(lambda value, name=name: getattr(pc, name)(as_double(value)))
    for name, compute in _OF_DOUBLES.items():
        function(name, TypeFamily.NUMBER)(lambda value, compute=compute: compute(as_double(value)))


_register_functions_of_doubles()


@function("log", TypeFamily.NUMBER, TypeFamily.NUMBER, optional=1)
def _log(value: Values, base: Values | None = None) -> Values:
    if base is None:
        return pc.ln(as_double(value))
    return pc.logb(as_double(value), as_double(base))


@function("atan2", TypeFamily.NUMBER, TypeFamily.NUMBER)
def _atan2(y: Values, x: Values) -> Values:
    return pc.atan2(as_double(y), as_double(x))


@function("abs", TypeFamily.NUMBER)
def _abs(value: Values) -> Values:
    return pc.abs(typed(value, pa.int64()))


@function("sign", TypeFamily.NUMBER)
def _sign(value: Values) -> Values:
    value = typed(value, pa.int64())
    if pa.types.is_decimal(value.type):
        return _decimal_sign(value)
    return pc.cast(pc.sign(value), value.type)


def _decimal_sign(value: Values) -> Values:
    """The number's type, with room for one digit before the point."""
    scale = value.type.scale
    wide = pc.cast(pc.cast(pc.sign(value), pa.int8()), pa.decimal128(min(38, scale + 3), scale))
    return pc.cast(wide, pa.decimal128(max(value.type.precision, min(38, scale + 1)), scale))


@function("greatest", TypeFamily.COMPARABLE, variadic=True, coerce=alike)
def _greatest(*values: Values) -> Values:
    result = pc.max_element_wise(*values, skip_nulls=False)
    if not pa.types.is_floating(result.type):
        return result
    is_nan = reduce(pc.or_, [pc.is_nan(value) for value in values])
    return pc.if_else(is_nan, pa.scalar(math.nan, result.type), result)


@function("least", TypeFamily.COMPARABLE, variadic=True, coerce=alike)
def _least(*values: Values) -> Values:
    return pc.min_element_wise(*values, skip_nulls=False)


@function("pi")
def _pi() -> Values:
    return pa.scalar(math.pi)


@function("e")
def _e() -> Values:
    return pa.scalar(math.e)
