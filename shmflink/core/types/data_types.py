"""Types of columns as the Table API declares them (`pyflink.table.types`): with lengths, precision and scale.

A data type determines the Arrow column for its values, and the `TypeInformation` of the values as records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pc
from shmflink.core.types.decimals import rounded
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import TypeMismatchError

__all__ = ["DataType", "DataTypes", "RowField", "RowType", "fitted"]

_PRECISION_MAX: Final = 38
_UNITS: Final = ("s", "ms", "us", "ns")
_WIDE: Final = pa.decimal256(76, 38)


class DataType:
    """One type. Immutable; equal by text."""

    def __init__(
        self, text: str, type_info: TypeInformation, arrow_type: pa.DataType, length: int | None = None
    ) -> None:
        self._text = text
        self.type_info = type_info
        self.arrow_type = arrow_type
        self.length = length
        """Characters of a CHAR, bytes of a BINARY; None for types without a fixed length."""

    def nullable(self) -> DataType:
        """The type itself: all columns may hold nulls."""
        return self

    def not_null(self) -> DataType:
        """The type itself: files do not say that a column has no nulls."""
        return self

    def bridged_to(self, conversion_cls: str) -> DataType:
        """The type itself: there are no Java classes to convert to."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataType) and self._text == other._text

    def __hash__(self) -> int:
        return hash((DataType, self._text))

    def __repr__(self) -> str:
        return self._text


@dataclass(frozen=True, slots=True)
class RowField:
    """A named field of a row type."""

    name: str
    data_type: DataType


class RowType(DataType):
    """Rows with these fields."""

    def __init__(self, fields: Sequence[RowField]) -> None:
        self.fields = tuple(fields)
        shown = ", ".join(f"{field.name} {field.data_type}" for field in fields)
        info = Types.ROW_NAMED(self.field_names(), [field.data_type.type_info for field in fields])
        super().__init__(f"ROW<{shown}>", info, pa.struct([(f.name, f.data_type.arrow_type) for f in fields]))

    def field_names(self) -> list[str]:
        return [field.name for field in self.fields]

    def field_types(self) -> list[DataType]:
        return [field.data_type for field in self.fields]

    @property
    def schema(self) -> pa.Schema:
        """*shmflink only.* The columns; CHAR and BINARY store their length in the metadata."""
        return pa.schema(
            [
                pa.field(field.name, kind.arrow_type, metadata=_length_of(kind))
                for field, kind in zip(self.fields, self.field_types(), strict=True)
            ]
        )


def has_length(field: pa.Field) -> bool:
    """Whether values are padded or cut to the length in the metadata (CHAR)."""
    return bool(field.metadata) and _LENGTH in field.metadata


def fitted(array: pa.Array, field: pa.Field) -> pa.Array:
    """A column cast to a field's type as Flink does: decimals rounded half up, CHAR and BINARY padded.

    Raises:
        pa.ArrowException: values that do not fit.
    """
    kind = field.type
    if pa.types.is_decimal128(kind) and not pa.types.is_integer(array.type):
        array = array if pa.types.is_decimal(array.type) else array.cast(_WIDE)
        array = rounded(array, kind.scale) if array.type.scale > kind.scale else array.cast(_WIDE)
    elif pa.types.is_fixed_size_binary(kind) and not pa.types.is_fixed_size_binary(array.type):
        width = kind.byte_width
        array = pc.binary_replace_slice(pc.binary_join_element_wise(array, b"\0" * width, b""), width, 2**31 - 1, b"")
    elif has_length(field):
        length = field.metadata[_LENGTH]
        return pc.utf8_slice_codeunits(pc.utf8_rpad(array.cast(kind), int(length)), 0, int(length))
    return array if array.type == kind else array.cast(kind)


_LENGTH: Final = b"shmflink.char"


def _length_of(kind: DataType) -> dict[bytes, bytes] | None:
    return (
        {_LENGTH: str(kind.length).encode()}
        if kind.length is not None and pa.types.is_string(kind.arrow_type)
        else None
    )


def _timestamp(name: str, info: TypeInformation, precision: int, zone: str | None) -> DataType:
    if not 0 <= precision <= 9:
        raise TypeMismatchError(f"{name}({precision}): the precision must be from 0 to 9 digits")
    return DataType(f"{name}({precision})", info, pa.timestamp(_UNITS[-(-precision // 3)], zone))


class DataTypes:
    """Makes data types, by Flink's names for SQL's types."""

    @staticmethod
    def STRING() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("STRING", Types.STRING(), pa.string())

    @staticmethod
    def CHAR(length: int) -> DataType:  # noqa: N802  PyFlink's name
        """Text of exactly this many characters: shorter text is padded with blanks when it is written."""
        return DataType(f"CHAR({length})", Types.STRING(), pa.string(), length)

    @staticmethod
    def VARCHAR(length: int) -> DataType:  # noqa: N802  PyFlink's name
        return DataType(f"VARCHAR({length})", Types.STRING(), pa.string())

    @staticmethod
    def BYTES() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("BYTES", Types.PRIMITIVE_ARRAY(Types.BYTE()), pa.binary())

    @staticmethod
    def BINARY(length: int) -> DataType:  # noqa: N802  PyFlink's name
        """Exactly this many bytes: shorter values are padded with zeros when they are written."""
        return DataType(f"BINARY({length})", Types.PRIMITIVE_ARRAY(Types.BYTE()), pa.binary(length), length)

    @staticmethod
    def VARBINARY(length: int) -> DataType:  # noqa: N802  PyFlink's name
        return DataType(f"VARBINARY({length})", Types.PRIMITIVE_ARRAY(Types.BYTE()), pa.binary())

    @staticmethod
    def BOOLEAN() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("BOOLEAN", Types.BOOLEAN(), pa.bool_())

    @staticmethod
    def TINYINT() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("TINYINT", Types.BYTE(), pa.int8())

    @staticmethod
    def SMALLINT() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("SMALLINT", Types.SHORT(), pa.int16())

    @staticmethod
    def INT() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("INT", Types.INT(), pa.int32())

    @staticmethod
    def BIGINT() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("BIGINT", Types.LONG(), pa.int64())

    @staticmethod
    def FLOAT() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("FLOAT", Types.FLOAT(), pa.float32())

    @staticmethod
    def DOUBLE() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("DOUBLE", Types.DOUBLE(), pa.float64())

    @staticmethod
    def DECIMAL(precision: int, scale: int) -> DataType:  # noqa: N802  PyFlink's name
        """`precision` digits, of which `scale` follow the point; values are rounded half up to that.

        Raises:
            TypeMismatchError: not 1 <= precision <= 38 or not 0 <= scale <= precision.
        """
        if not 1 <= precision <= _PRECISION_MAX or not 0 <= scale <= precision:
            raise TypeMismatchError(
                f"DECIMAL({precision}, {scale}): the precision must be 1 to 38 digits, the scale 0 up to the precision"
            )
        return DataType(f"DECIMAL({precision}, {scale})", Types.BIG_DEC(), pa.decimal128(precision, scale))

    @staticmethod
    def DATE() -> DataType:  # noqa: N802  PyFlink's name
        return DataType("DATE", Types.SQL_DATE(), pa.date32())

    @staticmethod
    def TIME(precision: int = 0) -> DataType:  # noqa: N802  PyFlink's name
        return DataType(f"TIME({precision})", Types.SQL_TIME(), pa.time64("us") if precision > 3 else pa.time32("ms"))

    @staticmethod
    def TIMESTAMP(precision: int = 6) -> DataType:  # noqa: N802  PyFlink's name
        """Without a time zone; `precision` digits of a second, 0 to 9."""
        return _timestamp("TIMESTAMP", Types.SQL_TIMESTAMP(), precision, None)

    @staticmethod
    def TIMESTAMP_LTZ(precision: int = 6) -> DataType:  # noqa: N802  PyFlink's name
        """An instant; `precision` digits of a second, 0 to 9."""
        return _timestamp("TIMESTAMP_LTZ", Types.INSTANT(), precision, "UTC")

    @staticmethod
    def TIMESTAMP_WITH_LOCAL_TIME_ZONE(precision: int = 6) -> DataType:  # noqa: N802  PyFlink's name
        """The long name of TIMESTAMP_LTZ."""
        return DataTypes.TIMESTAMP_LTZ(precision)

    @staticmethod
    def ARRAY(element_type: DataType) -> DataType:  # noqa: N802  PyFlink's name
        return DataType(f"ARRAY<{element_type}>", Types.LIST(element_type.type_info), pa.list_(element_type.arrow_type))

    @staticmethod
    def MAP(key_type: DataType, value_type: DataType) -> DataType:  # noqa: N802  PyFlink's name
        info = Types.MAP(key_type.type_info, value_type.type_info)
        return DataType(f"MAP<{key_type}, {value_type}>", info, pa.map_(key_type.arrow_type, value_type.arrow_type))

    @staticmethod
    def FIELD(name: str, data_type: DataType, description: Any = None) -> RowField:  # noqa: N802, ARG004  PyFlink's
        return RowField(name, data_type)

    @staticmethod
    def ROW(row_fields: Sequence[RowField | DataType]) -> RowType:  # noqa: N802  PyFlink's name
        """A row of these fields; types without names are `f0`, `f1`, ..."""
        return RowType(
            [field if isinstance(field, RowField) else RowField(f"f{i}", field) for i, field in enumerate(row_fields)]
        )
