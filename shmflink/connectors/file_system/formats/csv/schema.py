"""Columns and dialect of CSV files, declared as in PyFlink (`CsvSchema`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import field, replace
from typing import Any, Final

import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.data_types import DataType, DataTypes
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import ConfigurationError

__all__ = ["CsvColumn", "CsvSchema", "CsvSchemaBuilder"]

_ELEMENT_SEPARATOR: Final = ";"


@dataclass(frozen=True, slots=True)
class CsvColumn:
    """A column; `element_separator` separates the elements of an array; None for other types."""

    name: str
    type_info: TypeInformation | DataType
    element_separator: str | None = None


@dataclass(frozen=True, slots=True)
class CsvSchema:
    """The columns and the dialect of a CSV file. Created by `builder()`."""

    columns: tuple[CsvColumn, ...] = ()
    column_separator: str = ","
    line_separator: str = "\n"
    quote_char: str | None = '"'
    escape_char: str | None = None
    null_value: str = ""
    use_header: bool = False
    skip_first_data_row: bool = False
    strict_headers: bool = False
    allow_comments: bool = False

    @staticmethod
    def builder() -> CsvSchemaBuilder:
        return CsvSchemaBuilder()

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        return pa.schema([(column.name, column.type_info.arrow_type) for column in self.columns])

    @property
    def declared(self) -> TypeInformation | pa.Schema:
        """The rows' type; the columns' types if one is declared as in the Table API, for example with a scale."""
        has_data_types = any(isinstance(column.type_info, DataType) for column in self.columns)
        return self.arrow_schema if has_data_types else self.row_type

    @property
    def row_type(self) -> TypeInformation:
        """The rows, by field name."""
        kinds = [c.type_info.type_info if isinstance(c.type_info, DataType) else c.type_info for c in self.columns]
        return Types.ROW_NAMED([c.name for c in self.columns], kinds)

    def size(self) -> int:
        """How many columns there are."""
        return len(self.columns)

    def __len__(self) -> int:
        return self.size()


@dataclass(slots=True)
class CsvSchemaBuilder:
    """Builds a CsvSchema. Types are those of `DataTypes`, as in PyFlink, or of `Types`."""

    _schema: CsvSchema = field(default_factory=CsvSchema)

    def build(self) -> CsvSchema:
        """Raises ConfigurationError if two columns have the same name."""
        names = [column.name for column in self._schema.columns]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ConfigurationError(f"CsvSchema: the column {twice[0]!r} is declared twice")
        return self._schema

    def add_array_column(
        self, name: str, separator: str = _ELEMENT_SEPARATOR, element_type: TypeInformation | DataType | None = None
    ) -> CsvSchemaBuilder:
        """A list of scalars in one cell; strings if no type is given."""
        if isinstance(element_type, DataType):
            return self._add(CsvColumn(name, DataTypes.ARRAY(element_type), separator))
        return self._add(CsvColumn(name, Types.LIST(element_type or Types.STRING()), separator))

    def add_boolean_column(self, name: str) -> CsvSchemaBuilder:
        """`true` or `false`."""
        return self._add(CsvColumn(name, Types.BOOLEAN()))

    def add_number_column(self, name: str, number_type: TypeInformation | DataType | None = None) -> CsvSchemaBuilder:
        """A number; a 64-bit integer if no type is given."""
        return self._add(CsvColumn(name, number_type or Types.LONG()))

    def add_string_column(self, name: str) -> CsvSchemaBuilder:
        """Text."""
        return self._add(CsvColumn(name, Types.STRING()))

    def add_columns_from(self, schema: CsvSchema) -> CsvSchemaBuilder:
        """All columns of another schema."""
        for column in schema.columns:
            self._add(column)
        return self

    def clear_columns(self) -> CsvSchemaBuilder:
        """Removes all columns."""
        return self._set(columns=())

    def set_allow_comments(self, allow: bool = True) -> CsvSchemaBuilder:
        """Whether reading skips lines that begin with ``#``."""
        return self._set(allow_comments=allow)

    def set_any_property_name(self, name: str) -> CsvSchemaBuilder:
        """Not supported: a row has only the schema's columns; others are skipped.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"CsvSchema: set_any_property_name({name!r}): rows cannot hold undeclared columns; add a column for each"
        )

    def disable_array_element_separator(self) -> CsvSchemaBuilder:
        """The elements of arrays have no separator."""
        return self.set_array_element_separator("")

    def remove_array_element_separator(self, index: int) -> CsvSchemaBuilder:
        """The elements of that column have no separator."""
        columns = list(self._schema.columns)
        columns[index] = replace(columns[index], element_separator="")
        return self._set(columns=tuple(columns))

    def set_array_element_separator(self, separator: str) -> CsvSchemaBuilder:
        """Sets the separator of the elements of all arrays declared so far."""
        columns = [
            column if column.element_separator is None else replace(column, element_separator=separator)
            for column in self._schema.columns
        ]
        return self._set(columns=tuple(columns))

    def set_column_separator(self, char: str) -> CsvSchemaBuilder:
        """One character, a comma by default."""
        return self._set(column_separator=_one_char("Column separator", char))

    def disable_escape_char(self) -> CsvSchemaBuilder:
        """The default."""
        return self._set(escape_char=None)

    def set_escape_char(self, char: str) -> CsvSchemaBuilder:
        """One character; when reading, the character after it is literal."""
        return self._set(escape_char=_one_char("Escape char", char))

    def set_line_separator(self, separator: str) -> CsvSchemaBuilder:
        """For writing; when reading, LF, CR and CR LF all end a line."""
        return self._set(line_separator=separator)

    def set_null_value(self, null_value: str) -> CsvSchemaBuilder:
        """The text for null, empty by default."""
        return self._set(null_value=null_value)

    def disable_quote_char(self) -> CsvSchemaBuilder:
        """Nothing is quoted."""
        return self._set(quote_char=None)

    def set_quote_char(self, char: str) -> CsvSchemaBuilder:
        """One character, ``"`` by default."""
        return self._set(quote_char=_one_char("Quote char", char))

    def set_skip_first_data_row(self, skip: bool = True) -> CsvSchemaBuilder:
        """Whether reading skips the first row."""
        return self._set(skip_first_data_row=skip)

    def set_strict_headers(self, strict: bool = True) -> CsvSchemaBuilder:
        """Whether the header must have exactly the names of the columns, in their order."""
        return self._set(strict_headers=strict)

    def set_use_header(self, use: bool = True) -> CsvSchemaBuilder:
        """Whether the first line is a header: columns match by name if it has all of them, otherwise by position."""
        return self._set(use_header=use)

    def size(self) -> int:
        """The number of columns declared so far."""
        return len(self._schema.columns)

    def __len__(self) -> int:
        return self.size()

    def _add(self, column: CsvColumn) -> CsvSchemaBuilder:
        return self._set(columns=(*self._schema.columns, column))

    def _set(self, **changes: Any) -> CsvSchemaBuilder:
        self._schema = replace(self._schema, **changes)
        return self


def _one_char(what: str, char: str) -> str:
    if len(char) != 1:
        raise ValueError(f"{what} must be a single char, got {char}")
    return char
