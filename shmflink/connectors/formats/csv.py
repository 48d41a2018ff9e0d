"""Rows to lines of CSV and back (PyFlink: CsvRowSerializationSchema, CsvRowDeserializationSchema)."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import decimal
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Self

from shmflink.connectors.file_system.formats.csv.jackson import JacksonStyle
from shmflink.connectors.formats.serialization import DeserializationSchema, SerializationSchema
from shmflink.connectors.formats.text import java_text
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.row import Row, create_row
from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation
from shmflink.errors import ConfigurationError, DataFormatError

__all__ = ["CsvRowDeserializationSchema", "CsvRowSerializationSchema"]

_NUMBERS: Final = frozenset({"i8", "i16", "i32", "i64", "f32", "f64", "dec", "big", "bool"})


@dataclass(frozen=True, slots=True)
class _Style:
    """The dialect of the lines; the common part of both schemas."""

    delimiter: str = ","
    array_delimiter: str = ";"
    quote: str | None = '"'
    escape: str | None = None
    null_literal: str = ""
    line_end: str = "\n"
    allows_comments: bool = False
    ignores_errors: bool = False


class _Builder:
    """The common part of both builders."""

    def __init__(self, type_info: TypeInformation) -> None:
        """Raises ConfigurationError if `type_info` is not a row type."""
        if not isinstance(type_info, RowTypeInfo):
            raise ConfigurationError(f"CSV rows need a type Types.ROW([...]), got {type_info}")
        self._type = type_info
        self._style = _Style()

    def set_field_delimiter(self, delimiter: str) -> Self:
        """One character between fields; a comma by default."""
        return self._set(delimiter=_one("field delimiter", delimiter))

    def set_array_element_delimiter(self, delimiter: str) -> Self:
        """Between the elements of arrays and the fields of rows in a field; `;` by default."""
        return self._set(array_delimiter=delimiter)

    def set_quote_character(self, c: str) -> Self:
        """One character; `"` by default."""
        return self._set(quote=_one("quote character", c))

    def set_escape_character(self, c: str) -> Self:
        """One character; none by default."""
        return self._set(escape=_one("escape character", c))

    def set_null_literal(self, null_literal: str) -> Self:
        """The text for null; empty by default."""
        return self._set(null_literal=null_literal)

    def _set(self, **changes: Any) -> Self:
        self._style = replace(self._style, **changes)
        return self


class CsvRowSerializationSchema(SerializationSchema):
    """Turns a row into a line of CSV, with its line end. Created by `Builder(type_info)`."""

    def __init__(self, type_info: RowTypeInfo, style: Any) -> None:
        self._shapes = [field.shape for field in type_info.get_field_types()]
        self._style: _Style = style
        self._jackson = JacksonStyle(style.delimiter, style.quote, style.escape, style.null_literal, style.line_end)

    def serialize(self, element: Any) -> bytes:
        cells = [self._cell(shape, value) for shape, value in zip(self._shapes, element, strict=True)]
        return (self._style.delimiter.join(cells) + self._style.line_end).encode()

    def _cell(self, shape: Any, value: Any) -> str:
        if value is None:
            return self._style.null_literal
        text = self._text(shape, value)
        return text if shape in _NUMBERS else self._jackson.text(text)

    def _text(self, shape: Any, value: Any) -> str:
        if value is None:
            return self._style.null_literal
        if shape == "bytes":
            return base64.b64encode(value).decode()
        if not isinstance(shape, tuple):
            return java_text(shape, value)
        shapes = [shape[1]] * len(value) if shape[0] == "list" else shape[-1]
        return self._style.array_delimiter.join(map(self._text, shapes, value))

    class Builder(_Builder):
        """`type_info`: the rows' type."""

        def set_line_delimiter(self, delimiter: str) -> Self:
            """The line end: LF, CR LF, CR or nothing; LF by default."""
            if delimiter not in ("\n", "\r\n", "\r", ""):
                raise ConfigurationError(f"CSV line delimiter {delimiter!r}: must be LF, CR LF, CR or empty")
            return self._set(line_end=delimiter)

        def disable_quote_character(self) -> Self:
            """Disables quotes."""
            return self._set(quote=None)

        def build(self) -> CsvRowSerializationSchema:
            return CsvRowSerializationSchema(self._type, self._style)


class CsvRowDeserializationSchema(DeserializationSchema[Row]):
    """Turns a line of CSV into a row with field names. Created by `Builder(type_info)`."""

    def __init__(self, type_info: RowTypeInfo, style: Any) -> None:
        self._names = type_info.get_field_names()
        self._shapes = [field.shape for field in type_info.get_field_types()]
        self._style: _Style = style

    def deserialize(self, message: bytes) -> Row | None:
        """None for a comment, and for an unreadable line if those are ignored.

        Raises:
            DataFormatError: the number of fields differs, or a field does not fit its type.
        """
        style = self._style
        text = message.decode()
        if style.allows_comments and text.startswith("#"):
            return None
        try:
            (fields,) = csv.reader([text], **self._dialect())
            values = self._values(fields)
        except (ValueError, ArithmeticError, csv.Error) as error:
            if style.ignores_errors:
                return None
            raise DataFormatError(f"cannot read a CSV row: {error}; the line: {text[:200]!r}") from error
        return create_row(list(self._names), values)

    def _values(self, fields: list[str]) -> list[Any]:
        if len(fields) != len(self._names):
            raise ValueError(f"Row length mismatch. {len(self._names)} fields expected but was {len(fields)}.")
        return [self._value(shape, field) for shape, field in zip(self._shapes, fields, strict=True)]

    def _dialect(self) -> dict[str, Any]:
        style = self._style
        return {
            "delimiter": style.delimiter,
            "quotechar": style.quote,
            "escapechar": style.escape,
            "quoting": csv.QUOTE_NONE if style.quote is None else csv.QUOTE_MINIMAL,
        }

    def _value(self, shape: Any, text: str) -> Any:
        literal = self._style.null_literal
        if text == literal and (literal or shape != "str"):
            return None
        if not isinstance(shape, tuple):
            return _READERS.get(shape, str)(text)
        parts = text.split(self._style.array_delimiter) if text else []
        if shape[0] == "list":
            return [self._value(shape[1], part) for part in parts]
        if len(parts) != len(shape[-1]):
            raise ValueError(f"{len(shape[-1])} fields of a nested row expected but was {len(parts)}: {text!r}")
        values = [self._value(part, item) for part, item in zip(shape[-1], parts, strict=True)]
        return create_row(list(shape[1]), values) if shape[0] == "row" else tuple(values)

    class Builder(_Builder):
        """`type_info`: the rows' type."""

        def set_allow_comments(self, allow_comments: bool) -> Self:
            """Whether lines that begin with `#` are skipped."""
            return self._set(allows_comments=allow_comments)

        def set_ignore_parse_errors(self, ignore_parse_errors: bool) -> Self:
            """Whether unreadable lines are skipped."""
            return self._set(ignores_errors=ignore_parse_errors)

        def build(self) -> CsvRowDeserializationSchema:
            return CsvRowDeserializationSchema(self._type, self._style)


def _one(what: str, char: str) -> str:
    if len(char) != 1:
        raise ConfigurationError(f"CSV {what} {char!r}: must be one character")
    return char


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return lowered == "true"


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "bool": _boolean,
    **dict.fromkeys(("i8", "i16", "i32", "i64", "big"), int),
    **dict.fromkeys(("f32", "f64"), float),
    "dec": lambda text: decimal.Decimal(text.strip()),
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "ts": dt.datetime.fromisoformat,
}
