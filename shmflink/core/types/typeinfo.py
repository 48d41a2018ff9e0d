"""Declared types: `Types` and the `TypeInformation` tree, with PyFlink's names (`pyflink.common.typeinfo`).

Each type knows its `shape` (how rows are stored in columns), its Arrow type, and how to convert a Python value to
its form as Flink's Java types do (`conform`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import pyarrow as pa

from shmflink.core.plain_columns import plain_type
from shmflink.core.schema_metadata import annotated
from shmflink.core.types.conform import conform_value
from shmflink.core.types.parameters import T
from shmflink.core.types.shapes import Shape, arrow_type_of, field_names, shape_of_arrow
from shmflink.errors import TypeMismatchError

__all__ = [
    "BasicArrayTypeInfo",
    "BasicType",
    "BasicTypeInfo",
    "ColumnsTypeInfo",
    "DateTypeInfo",
    "ExternalTypeInfo",
    "InstantTypeInfo",
    "ListTypeInfo",
    "LocalTimeTypeInfo",
    "MapTypeInfo",
    "ObjectArrayTypeInfo",
    "PickledBytesTypeInfo",
    "PrimitiveArrayTypeInfo",
    "RowTypeInfo",
    "SqlTimeTypeInfo",
    "TimeTypeInfo",
    "TimestampTypeInfo",
    "TupleTypeInfo",
    "TypeInformation",
    "Types",
    "schema_of",
]


class TypeInformation:
    """The type of a stream's records or of a field. Immutable; compares by content."""

    def __init__(self, shape: Shape, text: str) -> None:
        self._shape = shape
        self._text = text

    @property
    def shape(self) -> Shape:
        """How values of this type are stored in Arrow columns. *shmflink only.*"""
        return self._shape

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of one value. *shmflink only.*"""
        return arrow_type_of(self._shape)

    def conform(self, value: Any) -> Any:
        """`value` in this type's form: floats rounded, tuples turned into rows. *shmflink only.*

        Raises:
            TypeMismatchError: the value is of another kind, or a number beyond the type.
        """
        return conform_value(self._shape, value)

    def need_conversion(self) -> bool:
        """False for types whose values are never converted."""
        return self._shape in _KEPT

    def to_internal_type(self, obj: Any) -> Any:
        """The value in this type's form (PyFlink's name for `conform`)."""
        return self.conform(obj)

    def from_internal_type(self, obj: T) -> T:
        """The value as the user sees it, which is also the internal form."""
        return obj

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._text == getattr(other, "_text", None)

    def __hash__(self) -> int:
        return hash((type(self), self._text))

    def __repr__(self) -> str:
        return self._text


_KEPT: Final = frozenset({"str", "bool", "bytes", "i8", "i16", "i32", "i64", "f32", "f64", "char", "pickle"})


class BasicType(Enum):
    """Java's boxed types, each a single field."""

    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"


_BASIC_SHAPES: Final[dict[BasicType, Shape]] = {
    BasicType.STRING: "str",
    BasicType.BYTE: "i8",
    BasicType.BOOLEAN: "bool",
    BasicType.SHORT: "i16",
    BasicType.INT: "i32",
    BasicType.LONG: "i64",
    BasicType.FLOAT: "f32",
    BasicType.DOUBLE: "f64",
    BasicType.CHAR: "char",
    BasicType.BIG_INT: "big",
    BasicType.BIG_DEC: "dec",
    BasicType.INSTANT: "inst",
}


class BasicTypeInfo(TypeInformation):
    """Numbers, booleans, strings, big numbers, instants."""

    def __init__(self, basic_type: BasicType) -> None:
        super().__init__(_BASIC_SHAPES[basic_type], basic_type.value)
        self._basic_type = basic_type

    @property
    def basic_type(self) -> BasicType:
        """Which one it is. *shmflink only.*"""
        return self._basic_type

    @staticmethod
    def STRING_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BOOLEAN_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def BYTE_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def SHORT_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT_TYPE_INFO() -> BasicTypeInfo:  # noqa: N802  PyFlink's name
        return InstantTypeInfo(BasicType.INSTANT)


class InstantTypeInfo(BasicTypeInfo):
    """A point in time in the years 1 to 9999, with microseconds; others are an error."""


class SqlTimeTypeInfo(TypeInformation):
    """Where PyFlink keeps the three SQL time types."""

    @staticmethod
    def DATE() -> DateTypeInfo:  # noqa: N802  PyFlink's name
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:  # noqa: N802  PyFlink's name
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:  # noqa: N802  PyFlink's name
        return TimestampTypeInfo()


class DateTypeInfo(TypeInformation):
    """`datetime.date`."""

    def __init__(self) -> None:
        super().__init__("date", "DateTypeInfo")


class TimeTypeInfo(TypeInformation):
    """`datetime.time`."""

    def __init__(self) -> None:
        super().__init__("time", "TimeTypeInfo")


class TimestampTypeInfo(TypeInformation):
    """`datetime.datetime` without a zone; one with a zone becomes local time, as in PyFlink."""

    def __init__(self) -> None:
        super().__init__("ts", "TimestampTypeInfo")


class LocalTimeTypeInfo(TypeInformation):
    """Java's local date, time and date-time; the same Python values as the SQL types."""

    class TimeType(Enum):
        """Which of the three."""

        LOCAL_DATE = 0
        LOCAL_TIME = 1
        LOCAL_DATE_TIME = 2

    def __init__(self, time_type: TimeType) -> None:
        super().__init__(("date", "time", "ts")[time_type.value], f"LocalTimeTypeInfo<{time_type.name}>")


class _ArrayTypeInfo(TypeInformation):
    _allowed: frozenset[BasicType] | None = None
    _text_name = ""

    def __init__(self, element_type: TypeInformation) -> None:
        basic = getattr(element_type, "_basic_type", None)
        if self._allowed is not None and basic not in self._allowed:
            raise TypeError(f"Invalid element type {element_type} for {self._text_name}")
        super().__init__(self._shape_of(element_type), f"{self._text_name}<{element_type}>")
        self._element_type = element_type

    @property
    def element_type(self) -> TypeInformation:
        """The items' type. *shmflink only.*"""
        return self._element_type

    @staticmethod
    def _shape_of(element_type: TypeInformation) -> Shape:
        return ("list", element_type.shape)


_PRIMITIVES: Final = frozenset(BasicType) - {
    BasicType.STRING,
    BasicType.BIG_INT,
    BasicType.BIG_DEC,
    BasicType.INSTANT,
}


class PrimitiveArrayTypeInfo(_ArrayTypeInfo):
    """An array of primitives: `bytes` for BYTE, else a list."""

    _allowed = _PRIMITIVES
    _text_name = "PrimitiveArrayTypeInfo"

    @staticmethod
    def _shape_of(element_type: TypeInformation) -> Shape:
        return "bytes" if element_type.shape == "i8" else ("list", element_type.shape)


class BasicArrayTypeInfo(_ArrayTypeInfo):
    """An array of boxed primitives or strings: a list."""

    _allowed = _PRIMITIVES | {BasicType.STRING}
    _text_name = "BasicArrayTypeInfo"


class ObjectArrayTypeInfo(_ArrayTypeInfo):
    """An array of anything: a list."""

    _text_name = "ObjectArrayTypeInfo"


class ListTypeInfo(_ArrayTypeInfo):
    """A list."""

    _text_name = "ListTypeInfo"

    @property
    def elem_type(self) -> TypeInformation:
        """The items' type."""
        return self._element_type


class MapTypeInfo(TypeInformation):
    """A dict."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        shape = ("map", key_type_info.shape, value_type_info.shape)
        super().__init__(shape, f"MapTypeInfo<{key_type_info}, {value_type_info}>")
        self._key_type_info = key_type_info
        self._value_type_info = value_type_info

    @property
    def key_type(self) -> TypeInformation:
        """The keys' type. *shmflink only.*"""
        return self._key_type_info

    @property
    def value_type(self) -> TypeInformation:
        """The values' type. *shmflink only.*"""
        return self._value_type_info


class PickledBytesTypeInfo(TypeInformation):
    """Any Python object, as it is."""

    def __init__(self) -> None:
        super().__init__("pickle", "PickledByteArrayTypeInfo")


class RowTypeInfo(TypeInformation):
    """`Row`; tuples, lists, dicts and objects with these attributes are converted to rows.

    As in PyFlink, two row types are equal if their field types are, whatever the names.
    """

    def __init__(self, field_types: Sequence[TypeInformation], field_names: Sequence[str] | None = None) -> None:
        names = list(field_names or (f"f{index}" for index in range(len(field_types))))
        if len(names) != len(field_types):
            raise TypeMismatchError(f"{len(names)} field names for {len(field_types)} field types of a row")
        if len(set(names)) != len(names):
            raise TypeMismatchError(f"field names of a row type must differ, got {names}")
        shown = [repr(item) for item in field_types]
        if field_names is not None:
            shown = [f"{name}: {item}" for name, item in zip(names, shown, strict=True)]
        shapes = tuple(item.shape for item in field_types)
        super().__init__(("row", tuple(names), shapes), f"RowTypeInfo({', '.join(shown)})")
        self._field_types = list(field_types)
        self._field_names = names

    def get_field_names(self) -> list[str]:
        """`f0`, `f1`, ... if no names were given."""
        return self._field_names

    def get_field_index(self, field_name: str) -> int:
        """The position of a field.

        Raises:
            ValueError: there is no such field.
        """
        return self._field_names.index(field_name)

    def get_field_types(self) -> list[TypeInformation]:
        return self._field_types

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowTypeInfo) and self._field_types == other._field_types

    def __hash__(self) -> int:
        return hash(tuple(self._field_types))


class TupleTypeInfo(TypeInformation):
    """`tuple`; lists and rows are converted to tuples."""

    def __init__(self, field_types: Sequence[TypeInformation]) -> None:
        shapes = tuple(item.shape for item in field_types)
        super().__init__(("tuple", shapes), f"TupleTypeInfo({', '.join(map(repr, field_types))})")
        self._field_types = list(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        return self._field_types


class ExternalTypeInfo(TypeInformation):
    """Another type, as the Table API passes it."""

    def __init__(self, type_info: TypeInformation) -> None:
        super().__init__(type_info.shape, f"ExternalTypeInfo<{type_info}>")


class ColumnsTypeInfo(TypeInformation):
    """Columns of these Arrow types; as records they are `Row`s by field name. Equal by schema. *shmflink only.*

    `schema` has only names and plain types (`core.plain_columns`; dictionaries stay): every column may hold nulls, and
    there is no metadata. `annotations` has the metadata of the given schema.

    Raises:
        TypeMismatchError: a name occurs twice.
    """

    def __init__(self, schema: pa.Schema) -> None:
        names = schema.names
        if len(set(names)) != len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise TypeMismatchError(f"column names must be unique, but {twice} occur more than once: rename them")
        self._given = schema
        kinds = [plain_type(kind, keeps_dictionaries=True) for kind in schema.types]
        self._schema = pa.schema(list(zip(names, kinds, strict=True)))
        shown = ", ".join(f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True))
        super().__init__(("row", tuple(names), tuple(map(shape_of_arrow, kinds))), f"Columns({shown})")

    def __reduce__(self) -> tuple[Any, ...]:
        return ColumnsTypeInfo, (self._schema,)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._schema

    @property
    def annotations(self) -> pa.Schema:
        """The annotated schema (`core.schema_metadata`) of the declaration; it is not sent with the type."""
        return annotated(self._given)

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.struct(list(self._schema))


class Types:
    """The types of records and fields."""

    @staticmethod
    def STRING() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`str`."""
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BYTE() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`int` of 8 bits."""
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def BOOLEAN() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`bool`."""
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def SHORT() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`int` of 16 bits."""
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`int` of 32 bits."""
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`int` of 64 bits."""
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`float` of 32 bits."""
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`float`."""
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`str` of one character."""
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`int` without limit."""
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`decimal.Decimal`."""
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`Instant`."""
        return InstantTypeInfo(BasicType.INSTANT)

    @staticmethod
    def SQL_DATE() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`datetime.date`."""
        return DateTypeInfo()

    @staticmethod
    def SQL_TIME() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`datetime.time`."""
        return TimeTypeInfo()

    @staticmethod
    def SQL_TIMESTAMP() -> TypeInformation:  # noqa: N802  PyFlink's name
        """`datetime.datetime`."""
        return TimestampTypeInfo()

    @staticmethod
    def PICKLED_BYTE_ARRAY() -> TypeInformation:  # noqa: N802  PyFlink's name
        """Any Python object."""
        return PickledBytesTypeInfo()

    @staticmethod
    def ROW(field_types: list[TypeInformation]) -> RowTypeInfo:  # noqa: N802  PyFlink's name
        """`Row` with the fields f0, f1, ..."""
        return RowTypeInfo(field_types)

    @staticmethod
    def ROW_NAMED(  # noqa: N802  PyFlink's name
        field_names: list[str], field_types: list[TypeInformation]
    ) -> RowTypeInfo:
        """`Row` with these fields."""
        return RowTypeInfo(field_types, field_names)

    @staticmethod
    def TUPLE(field_types: list[TypeInformation]) -> TupleTypeInfo:  # noqa: N802  PyFlink's name
        """`tuple`."""
        return TupleTypeInfo(field_types)

    @staticmethod
    def PRIMITIVE_ARRAY(element_type: TypeInformation) -> TypeInformation:  # noqa: N802  PyFlink's name
        """`bytes` for BYTE, else a list of numbers or booleans."""
        return PrimitiveArrayTypeInfo(element_type)

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> TypeInformation:  # noqa: N802  PyFlink's name
        """A list of numbers, booleans or strings; items may be None."""
        return BasicArrayTypeInfo(element_type)

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> TypeInformation:  # noqa: N802  PyFlink's name
        """A list of anything."""
        return ObjectArrayTypeInfo(element_type)

    @staticmethod
    def MAP(  # noqa: N802  PyFlink's name
        key_type_info: TypeInformation, value_type_info: TypeInformation
    ) -> TypeInformation:
        """`dict`."""
        return MapTypeInfo(key_type_info, value_type_info)

    @staticmethod
    def LIST(element_type_info: TypeInformation) -> TypeInformation:  # noqa: N802  PyFlink's name
        """`list`."""
        return ListTypeInfo(element_type_info)


def schema_of(declared: Any) -> pa.Schema | None:
    """The columns that batches of a declared type have (`Batch.columns`); None if Arrow types cannot describe them all.

    Decimals and big integers, which are sent as text, count as Flink's DECIMAL(38, 18) and DECIMAL(38, 0).
    """
    if isinstance(declared, ColumnsTypeInfo):
        return declared.schema
    if not isinstance(declared, TypeInformation):
        return None
    shape = declared.shape
    is_record = isinstance(shape, tuple) and shape[0] in ("tuple", "row")
    kinds = [_plain_type(part) for part in (shape[-1] if is_record else (shape,))]
    if any(kind is None for kind in kinds):
        return None
    return pa.schema(list(zip(field_names(shape), kinds, strict=True)))


def _plain_type(shape: Shape) -> pa.DataType | None:
    if isinstance(shape, str):
        return _DECIMALS.get(shape) or (None if shape in ("pickle", "arrow") else arrow_type_of(shape))
    inner = shape[1:] if shape[0] in ("list", "map") else shape[-1]
    return None if any(_plain_type(part) is None for part in inner) else arrow_type_of(shape)


_DECIMALS: Final = {"dec": pa.decimal128(38, 18), "big": pa.decimal128(38, 0)}
