"""`Expression`, `col` and `lit`: what a user writes."""

from __future__ import annotations

import difflib
import sys
from typing import Any, Final, NoReturn

import pyarrow as pa

from shmflink.errors import TypeMismatchError, UsageError
from shmflink.expressions.aggregates.methods import AggregateMethods
from shmflink.expressions.literals import scalar_of
from shmflink.expressions.logic.comparison import ComparisonMethods
from shmflink.expressions.logic.conditional import ConditionalMethods
from shmflink.expressions.logic.logic import LogicMethods
from shmflink.expressions.nested.array_order import ArrayOrderMethods
from shmflink.expressions.nested.array_sets import ArraySetMethods
from shmflink.expressions.nested.arrays import ArrayMethods
from shmflink.expressions.nested.maps import MapMethods
from shmflink.expressions.nested.rows import RowMethods
from shmflink.expressions.node import ALIAS, COLUMN, LITERAL, Node
from shmflink.expressions.numbers.arithmetic import ArithmeticMethods
from shmflink.expressions.numbers.maths import MathMethods
from shmflink.expressions.numbers.rounding import RoundingMethods
from shmflink.expressions.sql_json.functions import JsonMethods
from shmflink.expressions.synonyms import SYNONYMS
from shmflink.expressions.text.encodings import EncodingMethods
from shmflink.expressions.text.hashes import HashMethods
from shmflink.expressions.text.regular import RegexMethods
from shmflink.expressions.text.search import SearchMethods
from shmflink.expressions.text.strings import StringMethods
from shmflink.expressions.text.web import WebMethods
from shmflink.expressions.time.buckets import BucketMethods
from shmflink.expressions.time.intervals import IntervalMethods
from shmflink.expressions.time.text import TimeTextMethods
from shmflink.expressions.time.times import TimeMethods
from shmflink.expressions.types.casts import CastMethods

__all__ = ["Expression", "call_sql", "col", "lit"]


_INFIX: Final = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "divided_by": "/",
    "mod": "%",
    "power": "**",
    "equals": "==",
    "not_equals": "!=",
    "less_than": "<",
    "less_than_or_equal": "<=",
    "greater_than": ">",
    "greater_than_or_equal": ">=",
    "and": "&",
    "or": "|",
}
_LEFT_OUT: Final = {
    "over": "windows of rows need window functions, which are not supported",
    "rowtime": "event time is the stream's own timestamp: see assign_timestamps_and_watermarks()",
    "proctime": "processing time is not a column: use current_timestamp()",
    "start": "a window's start is a column of its aggregate",
    "end": "a window's end is a column of its aggregate",
    "asc": "streams have no order_by(); top_n() takes the column to order by",
    "desc": "streams have no order_by(); top_n() takes the column to order by",
    "as_argument": "functions here have no named arguments",
}
_CLOSE: Final = 0.75  # similarity of names
_ELEMENTS_SHOWN_MAX: Final = 10


class _NoSuchFunctionError(UsageError, AttributeError):
    """The error for a name that expressions do not have."""


class Expression(
    ArithmeticMethods,
    ComparisonMethods,
    LogicMethods,
    ConditionalMethods,
    CastMethods,
    AggregateMethods,
    StringMethods,
    SearchMethods,
    RegexMethods,
    EncodingMethods,
    IntervalMethods,
    TimeMethods,
    BucketMethods,
    MathMethods,
    RoundingMethods,
    TimeTextMethods,
    HashMethods,
    WebMethods,
    JsonMethods,
    ArrayMethods,
    ArraySetMethods,
    ArrayOrderMethods,
    MapMethods,
    RowMethods,
    Node,
):
    """A function of the columns of a row (`pyflink.table.expression.Expression`).

    The methods are in one module for each family of functions.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == builds a comparison

    def alias(self, name: str, *extra_names: str) -> Expression:
        """The expression under another name.

        >>> show(col("price").alias("cost"), price=[1.5])
        cost: [1.5]
        """
        return Expression(ALIAS, (self,), (name, *extra_names))

    def __bool__(self) -> bool:
        raise TypeMismatchError(
            f"`{self}` has no truth value before the job runs: use & | ~ instead of `and`, `or`, `not`, "
            "between() instead of a < b < c, and if_then_else() instead of `if`"
        )

    def __iter__(self) -> NoReturn:
        raise TypeMismatchError(f"`{self}` cannot be iterated over: explode() a stream by it, or use at() and get()")

    def __call__(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise TypeMismatchError(
            f"`{self}` cannot be called: aggregates and many other functions are properties; write, for example, .sum "
            "and .upper_case without ()"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        reason = _LEFT_OUT.get(name, "bitmaps are not supported" if name.startswith("bitmap_") else "")
        if reason:
            raise _NoSuchFunctionError(f"shmflink's expressions do not have {name}: {reason}")
        if name in SYNONYMS:
            raise _NoSuchFunctionError(f"expressions have no {name}: write {SYNONYMS[name]}")
        if name in (package := sys.modules["shmflink.expressions"]).__all__ and name.islower():
            raise _NoSuchFunctionError(f"expressions have no {name}: it is a function, {package.__name__}.{name}(...)")
        known = [known for known in dir(type(self)) if known[0] != "_"]
        near = difflib.get_close_matches(name, known, 1, _CLOSE)
        hint = f"; did you mean .{near[0]}?" if near else f"; a row's field is .get({name!r})"
        raise _NoSuchFunctionError(f"expressions have no function {name}{hint}")

    def __str__(self) -> str:
        match self.function:
            case "col":
                return str(self.parameters[0])
            case "lit":
                return _literal_text(self.parameters[0])
            case "alias":
                return f"{self.arguments[0]} AS {self.parameters[0]}"
        inside = [str(argument) for argument in self.arguments]
        if self.function in _INFIX:
            return f"({f' {_INFIX[self.function]} '.join(inside)})"
        inside += [_parameter_text(parameter) for parameter in self.parameters]
        return f"{self.function}({', '.join(inside)})"

    def __repr__(self) -> str:
        return f"<Expression {self}>"


def col(name: str) -> Expression:
    """The column of this name.

    >>> show(col("a") + 1, a=[1, 2])
    _c0: [2, 3]
    """
    if not isinstance(name, str):
        raise TypeMismatchError(f"col() takes a column's name, got {name!r}")
    return Expression(COLUMN, (), (name,))


def call_sql(sql_expression: str) -> NoReturn:
    """Not supported: this version does not parse SQL expressions.

    Raises:
        TypeMismatchError: always; says what to do instead.
    """
    raise TypeMismatchError(
        f"call_sql({sql_expression!r}): this version does not parse SQL expressions; write it with col() and the "
        "functions of shmflink.expressions"
    )


def lit(v: Any, data_type: Any = None) -> Expression:
    """A constant. By default its type follows from the value, as in PyFlink: an int is an INT (32 bits) if it fits,
    otherwise a BIGINT; larger ones are a uint64 or a DECIMAL(38, 0).

    >>> show(lit(7), lit(7, "DOUBLE"), lit(None), a=[1, 2])
    _c0: [7, 7]
    _c1: [7.0, 7.0]
    _c2: [None, None]
    """
    return Expression(LITERAL, (), (scalar_of(v, data_type),))


def _parameter_text(parameter: Any) -> str:
    if isinstance(parameter, pa.Array):
        text = ", ".join(map(_literal_text, parameter[:_ELEMENTS_SHOWN_MAX]))
        return text if len(parameter) <= _ELEMENTS_SHOWN_MAX else f"{text}, ... ({len(parameter)} elements)"
    return str(parameter) if isinstance(parameter, pa.DataType) else repr(parameter)


def _literal_text(constant: pa.Scalar) -> str:
    try:
        return repr(constant.as_py())
    except ValueError:  # nanoseconds that Python's datetime cannot hold
        return str(constant)
