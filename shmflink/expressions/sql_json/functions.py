"""SQL/JSON: validation, extraction by paths, and JSON built from columns.

Paths are constants: `$`, then `.key`, `['key']`, `[n]`, `[*]`, `.*`, `..key`, with `lax` or `strict` (which is the
default, as in Flink) before it; other steps are refused when the graph is built. A missing value is an error in strict
mode and empty in lax mode; ON ERROR and ON EMPTY determine the result. JSON's own null is null for JSON_VALUE and empty
for JSON_QUERY. A document that is malformed anywhere is an error.
"""

from __future__ import annotations

from typing import Any, Final, Self

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.sql_json.options import (
    JsonExistsOnError,
    JsonQueryOnEmptyOrError,
    JsonQueryWrapper,
    JsonType,
    JsonValueOnEmptyOrError,
)
from shmflink.expressions.types.coercions import each
from shmflink.expressions.types.names import data_type_of
from shmflink.expressions.vectors import columnwise, literal_value

__all__ = ["JsonMethods"]

_EMPTY: Final = 1  # statuses of the native kernels
_ERROR: Final = 2
_VALUE_KINDS: Final = {
    pa.utf8(): "string",
    pa.bool_(): "boolean",
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.float64(): "float64",
}
_WRAPPERS: Final = {
    JsonQueryWrapper.WITHOUT_ARRAY: "without",
    JsonQueryWrapper.CONDITIONAL_ARRAY: "conditional",
    JsonQueryWrapper.UNCONDITIONAL_ARRAY: "unconditional",
}
_QUERY_TEXTS: Final = {"NULL": None, "EMPTY_ARRAY": "[]", "EMPTY_OBJECT": "{}"}
_EXISTS: Final = {"TRUE": True, "FALSE": False, "UNKNOWN": None}
_TEXT_SHOWN_MAX: Final = 80

_Outcome = tuple[str, Any]
"""A behavior: the name of an option, and its default value."""


class JsonMethods(Node):
    """Functions of JSON text."""

    __slots__ = ()

    def is_json(self, json_type: JsonType | None = None) -> Self:
        """Whether the text is JSON of this kind; false for null, and for text after the value, which Flink accepts.

        >>> show(col("a").is_json(), col("a").is_json(JsonType.ARRAY), a=["[1]", "abc", None])
        _c0: [True, False, False]
        _c1: [True, False, False]
        """
        kind = _option(JsonType.VALUE if json_type is None else json_type, JsonType, "is_json")
        return self.call("is_json", self, parameters=(kind.name.lower(),))

    def json_exists(self, path: Any, on_error: JsonExistsOnError | None = None) -> Self:
        """Whether the path leads to a value; JSON's null does not count. By default false on error.

        >>> show(col("a").json_exists("$.b[0]"), a=['{"b": [1]}', '{"b": []}', None])
        _c0: [True, False, None]
        """
        option = _option(on_error or JsonExistsOnError.FALSE, JsonExistsOnError, "json_exists")
        return self.call("json_exists", self, parameters=(_path(path), option.name))

    def json_value(
        self,
        path: Any,
        returning_type: Any = None,
        on_empty: JsonValueOnEmptyOrError = JsonValueOnEmptyOrError.NULL,
        default_on_empty: Any = None,
        on_error: JsonValueOnEmptyOrError = JsonValueOnEmptyOrError.NULL,
        default_on_error: Any = None,
    ) -> Self:
        """The scalar that the path leads to, as a string, boolean, int32, int64 or float64.

        An object or array counts as empty (lax) or as an error (strict); a value that cannot be cast is an error.

        >>> show(col("a").json_value("$.b"), col("a").json_value("$.b", "INT"), a=['{"b": 7}', '{"b": "x"}', "{}"])
        _c0: ['7', 'x', None]
        _c1: [7, None, None]
        >>> show(col("a").json_value("lax $.b", "INT", JsonValueOnEmptyOrError.DEFAULT, -1), a=['{"b": 7}', "{}"])
        _c0: [7, -1]
        """
        kind = pa.utf8() if returning_type is None else data_type_of(returning_type)
        if kind not in _VALUE_KINDS:
            raise TypeMismatchError(f"json_value() returns a string, boolean, int32, int64 or float64, not {kind}")
        empty = _option(on_empty, JsonValueOnEmptyOrError, "json_value").name, default_on_empty
        error = _option(on_error, JsonValueOnEmptyOrError, "json_value").name, default_on_error
        for outcome in (empty, error):
            _default(outcome, kind)
        return self.call("json_value", self, parameters=(_path(path), _VALUE_KINDS[kind], empty, error))

    def json_query(
        self,
        path: Any,
        wrapping_behavior: JsonQueryWrapper = JsonQueryWrapper.WITHOUT_ARRAY,
        on_empty: JsonQueryOnEmptyOrError = JsonQueryOnEmptyOrError.NULL,
        on_error: JsonQueryOnEmptyOrError = JsonQueryOnEmptyOrError.NULL,
    ) -> Self:
        """The JSON text at the path, without whitespace; a scalar only if it is wrapped in an array.

        >>> show(col("a").json_query("$.b"), a=['{"b": {"c": 1}}', '{"b": 1}'])
        _c0: ['{"c":1}', None]
        >>> show(col("a").json_query("$.b[*]"), a=['{"b": [1, 2]}'])
        _c0: ['[1,2]']
        """
        wrapper = _WRAPPERS[_option(wrapping_behavior, JsonQueryWrapper, "json_query")]
        empty = _option(on_empty, JsonQueryOnEmptyOrError, "json_query").name
        error = _option(on_error, JsonQueryOnEmptyOrError, "json_query").name
        return self.call("json_query", self, parameters=(_path(path), wrapper, empty, error))

    def json_quote(self) -> Self:
        r"""The text as a JSON string; slashes are escaped, too. Non-ASCII letters are not escaped; what Flink writes
        for those beyond U+FFFF is not JSON.

        >>> show(col("a").json_quote(), a=['say "hi"', None])
        _c0: ['"say \\"hi\\""', None]
        """
        return self.call("json_quote", self)

    def json_unquote(self) -> Self:
        """The content of a JSON string; text without quotes around it is unchanged.

        >>> show(col("a").json_unquote(), a=['"a b"', "c"])
        _c0: ['a b', 'c']
        """
        return self.call("json_unquote", self)


def _option(value: Any, options: Any, method: str) -> Any:
    if not isinstance(value, options):
        raise TypeMismatchError(f"{method}() takes a {options.__name__} here, got {value!r}")
    return value


def _path(path: Any) -> str:
    """Checks the path when the program is built."""
    text = literal_value(path, "a JSON path")
    if not isinstance(text, str):
        raise TypeMismatchError(f"a JSON path is a string, for example '$.key', got {text!r}")
    try:
        _core.json_path_check(text)
    except TypeError as error:
        raise TypeMismatchError(str(error)) from None
    return text


def _default(outcome: _Outcome, kind: pa.DataType) -> pa.Scalar:
    """The replacement for a missing value."""
    value = outcome[1] if outcome[0] == "DEFAULT" else None
    try:
        return pa.scalar(value, kind)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise TypeMismatchError(f"json_value(): the default {value!r} is not a valid {kind}: {error}") from None


@function("is_json", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _is_json(texts: pa.Array, kind: str) -> Values:
    return _core.is_json(texts, kind)


@function("json_exists", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _json_exists(texts: pa.Array, path: str, on_error: str) -> Values:
    answers, statuses = _core.json_exists(texts, path)
    answers = pc.if_else(pc.is_valid(texts), answers, pa.scalar(None, pa.bool_()))
    return _replaced(answers, statuses, _ERROR, on_error, _EXISTS.get(on_error), texts, path)


@function("json_value", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _json_value(texts: pa.Array, path: str, kind: str, on_empty: _Outcome, on_error: _Outcome) -> Values:
    values, statuses = _core.json_value(texts, path, kind)
    for status, outcome in ((_EMPTY, on_empty), (_ERROR, on_error)):
        if outcome[0] != "NULL":
            value = _default(outcome, values.type).as_py()
            values = _replaced(values, statuses, status, outcome[0], value, texts, path)
    return values


@function("json_query", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _json_query(texts: pa.Array, path: str, wrapper: str, on_empty: str, on_error: str) -> Values:
    values, statuses = _core.json_query(texts, path, wrapper)
    for status, name in ((_EMPTY, on_empty), (_ERROR, on_error)):
        if name != "NULL":
            values = _replaced(values, statuses, status, name, _QUERY_TEXTS.get(name), texts, path)
    return values


@function("json_quote", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _json_quote(texts: pa.Array) -> Values:
    return _core.json_quote(texts)


@function("json_unquote", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _json_unquote(texts: pa.Array) -> Values:
    return _core.json_unquote(texts)


def _replaced(
    values: pa.Array, statuses: pa.Array, status: int, option: str, replacement: Any, texts: pa.Array, path: str
) -> pa.Array:
    """The values, with the replacement in rows of this status; the option ERROR raises an error for the first such
    row.
    """
    rows = pc.equal(statuses, status)
    if option == "ERROR" and rows.true_count:
        text = texts[rows.index(True).as_py()].as_py()
        what = "finds nothing in" if status == _EMPTY else "fails in"
        raise ValueError(f"the JSON path '{path}' {what} {text[:_TEXT_SHOWN_MAX]!r}")
    return pc.if_else(rows, pa.scalar(replacement, values.type), values) if option != "ERROR" else values
