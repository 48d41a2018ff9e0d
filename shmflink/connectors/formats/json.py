"""Rows to JSON objects and back (PyFlink: JsonRowSerializationSchema, JsonRowDeserializationSchema).

Times end in `Z`, as Flink's do: `12:00:00Z`, `2020-01-02T03:04:05Z`; a fraction of a second is written if there is one;
Flink omits it. Bytes are base64. Text is accepted where a number is declared, and vice versa.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable
from typing import Any, Final, Self

import orjson

from shmflink.connectors.formats.serialization import DeserializationSchema, SerializationSchema
from shmflink.core.row import Row, create_row
from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation, Types
from shmflink.errors import ConfigurationError, DataFormatError

__all__ = ["JsonRowDeserializationSchema", "JsonRowSerializationSchema", "type_of_json_schema"]


class JsonRowSerializationSchema(SerializationSchema):
    """Turns a row into a JSON object with all fields by name, nulls included. Created by `builder()`."""

    def __init__(self, type_info: TypeInformation) -> None:
        self._shape = _row_type(type_info).shape

    @staticmethod
    def builder() -> Builder:
        return JsonRowSerializationSchema.Builder()

    def serialize(self, element: Any) -> bytes:
        return orjson.dumps(_plain(self._shape, element))

    class Builder:
        """Set the rows' type before `build()`."""

        def __init__(self) -> None:
            self._type: TypeInformation | None = None

        def with_type_info(self, type_info: TypeInformation) -> Self:
            """The rows' type, with names."""
            self._type = type_info
            return self

        def build(self) -> JsonRowSerializationSchema:
            """Raises ConfigurationError if no type was given."""
            if self._type is None:
                raise ConfigurationError("JsonRowSerializationSchema: give the rows' type: with_type_info(...)")
            return JsonRowSerializationSchema(self._type)


class JsonRowDeserializationSchema(DeserializationSchema[Row]):
    """Turns a JSON object into a row with field names. Created by `builder()`."""

    def __init__(self, type_info: TypeInformation, *, fail_on_missing_field: bool, ignore_parse_errors: bool) -> None:
        if fail_on_missing_field and ignore_parse_errors:
            raise ConfigurationError("JSON rows: fail_on_missing_field() and ignore_parse_errors() cannot be combined")
        self._shape = _row_type(type_info).shape
        self._is_strict = fail_on_missing_field
        self._ignores = ignore_parse_errors
        self._is_exact = "'dec'" in repr(self._shape) or "'big'" in repr(self._shape)

    @staticmethod
    def builder() -> Builder:
        return JsonRowDeserializationSchema.Builder()

    def deserialize(self, message: bytes) -> Row | None:
        """None for an unreadable message if those are ignored.

        Raises:
            DataFormatError: the message is not a JSON object with the declared fields.
        """
        try:
            # orjson turns numbers with a fraction into floats.
            loaded = json.loads(message, parse_float=decimal.Decimal) if self._is_exact else orjson.loads(message)
            row: Row | None = _value(self._shape, loaded, self._is_strict)
            return row
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            if self._ignores:
                return None
            raise DataFormatError(f"cannot read a JSON row: {error}; the message: {message[:200]!r}") from error

    class Builder:
        """Set the rows' type or a JSON schema before `build()`."""

        def __init__(self) -> None:
            self._type: TypeInformation | None = None
            self._is_strict = False
            self._ignores = False

        def type_info(self, type_info: TypeInformation) -> Self:
            """The rows' type, with names."""
            self._type = type_info
            return self

        def json_schema(self, json_schema: str) -> Self:
            """The rows' type as a JSON schema."""
            self._type = type_of_json_schema(json_schema)
            return self

        def fail_on_missing_field(self) -> Self:
            """Makes a missing field an error instead of null."""
            self._is_strict = True
            return self

        def ignore_parse_errors(self) -> Self:
            """Skips unreadable messages."""
            self._ignores = True
            return self

        def build(self) -> JsonRowDeserializationSchema:
            """Raises ConfigurationError if no type was given."""
            if self._type is None:
                raise ConfigurationError("JsonRowDeserializationSchema: give the rows' type: type_info(...)")
            return JsonRowDeserializationSchema(
                self._type, fail_on_missing_field=self._is_strict, ignore_parse_errors=self._ignores
            )


def type_of_json_schema(text: str) -> TypeInformation:
    """The type of the values that a JSON schema describes: integers and numbers of any size.

    Raises:
        ConfigurationError: the schema is not an object, or a part of it has no corresponding type.
    """
    try:
        return _of_schema(json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"cannot derive a type from the JSON schema: {error!r}") from error


def _of_schema(schema: dict[str, Any]) -> TypeInformation:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind, *others = [name for name in kinds if name != "null"]
    if others:
        raise ConfigurationError(f"cannot derive a type from the JSON schema: it allows several types {kinds}")
    if kind == "object":
        fields = schema["properties"]
        return Types.ROW_NAMED(list(fields), [_of_schema(field) for field in fields.values()])
    if kind == "array":
        return Types.OBJECT_ARRAY(_of_schema(schema["items"]))
    if kind == "string":
        if schema.get("contentEncoding") == "base64":
            return Types.PRIMITIVE_ARRAY(Types.BYTE())
        return _FORMATS.get(schema.get("format", ""), Types.STRING)()
    return _KINDS[kind]()


_KINDS: Final[dict[str, Callable[[], TypeInformation]]] = {
    "boolean": Types.BOOLEAN,
    "integer": Types.BIG_INT,
    "number": Types.BIG_DEC,
}
_FORMATS: Final[dict[str, Callable[[], TypeInformation]]] = {
    "date": Types.SQL_DATE,
    "time": Types.SQL_TIME,
    "date-time": Types.SQL_TIMESTAMP,
}


def _row_type(type_info: TypeInformation) -> RowTypeInfo:
    if not isinstance(type_info, RowTypeInfo):
        raise ConfigurationError(f"a JSON row needs a type Types.ROW_NAMED([...], [...]), got {type_info}")
    return type_info


# --- out ---


def _plain(shape: Any, value: Any) -> Any:
    """The value that orjson writes for a value of this shape."""
    if value is None:
        return None
    if isinstance(shape, tuple):
        if shape[0] == "row":
            return {name: _plain(part, item) for name, part, item in zip(shape[1], shape[2], value, strict=True)}
        if shape[0] == "tuple":
            return [_plain(part, item) for part, item in zip(shape[1], value, strict=True)]
        if shape[0] == "list":
            return [_plain(shape[1], item) for item in value]
        return {str(key): _plain(shape[2], item) for key, item in value.items()}
    write = _WRITERS.get(shape)
    return value if write is None else write(value)


def _finite(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_WRITERS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": lambda value: base64.b64encode(value).decode(),
    "dec": lambda value: orjson.Fragment(str(value)),
    "big": lambda value: orjson.Fragment(str(value)),
    "f32": _finite,
    "f64": _finite,
    "date": dt.date.isoformat,
    "time": lambda value: value.isoformat() + "Z",
    "ts": lambda value: value.isoformat() + "Z",
}


# --- in ---


def _value(shape: Any, loaded: Any, is_strict: bool) -> Any:
    """The value of this shape for the loaded JSON; ValueError or a similar error if there is none."""
    if loaded is None:
        return None
    if not isinstance(shape, tuple):
        read: Callable[[Any], Any] = _READERS.get(shape, _text)
        return read(loaded)
    if shape[0] == "row":
        if not isinstance(loaded, dict):
            raise TypeError(f"expected an object, got {loaded!r}")
        missing = [name for name in shape[1] if name not in loaded] if is_strict else ()
        if missing:
            raise ValueError(f"could not find field with name '{missing[0]}'")
        values = [_value(part, loaded.get(name), is_strict) for name, part in zip(shape[1], shape[2], strict=True)]
        return create_row(list(shape[1]), values)
    if shape[0] == "map":
        return {_value(shape[1], key, is_strict): _value(shape[2], item, is_strict) for key, item in loaded.items()}
    if not isinstance(loaded, list):
        raise TypeError(f"expected an array, got {loaded!r}")
    if shape[0] == "tuple":
        return tuple(_value(part, item, is_strict) for part, item in zip(shape[1], loaded, strict=True))
    return [_value(shape[1], item, is_strict) for item in loaded]


def _text(loaded: Any) -> str:
    if isinstance(loaded, (dict, list)):
        return json.dumps(loaded, separators=(",", ":"), default=str)
    return str(loaded).lower() if isinstance(loaded, bool) else str(loaded)


def _integer(loaded: Any) -> int:
    number = loaded if isinstance(loaded, int) else decimal.Decimal(str(loaded).strip())
    if number != int(number):
        raise ValueError(f"{loaded!r} is not an integer")
    return int(number)


def _instant(loaded: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(str(loaded))
    return moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "bool": lambda loaded: loaded if isinstance(loaded, bool) else str(loaded).strip().lower() == "true",
    **dict.fromkeys(("i8", "i16", "i32", "i64", "big"), _integer),
    **dict.fromkeys(("f32", "f64"), float),
    "dec": lambda loaded: decimal.Decimal(str(loaded).strip()),
    "bytes": lambda loaded: base64.b64decode(loaded, validate=True),
    "date": lambda loaded: dt.date.fromisoformat(str(loaded)),
    "time": lambda loaded: dt.time.fromisoformat(str(loaded)).replace(tzinfo=None),
    "ts": _instant,
}
