"""What a file source reads: which columns and rows, and how the work is shared between the format and the source."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.columns.metadata_columns import METADATA_TYPES, ROW_NUMBER
from shmflink.connectors.file_system.reading.input_format import FileFormat
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.schema_metadata import NO_METADATA, is_empty, metadata_of_columns, metadata_of_fewer_rows
from shmflink.core.types.typeinfo import ColumnsTypeInfo, RowTypeInfo, TypeInformation
from shmflink.errors import JobGraphError

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["FileScan", "ReadPlan"]


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How readers execute a scan. `schema` is None if the format's batches are emitted unchanged.

    `constants` are the partition and metadata columns to add, as (kind of metadata or None, field); `row_numbers` is
    the column that the source itself counts; `predicate`, over `working`, is the remaining filter. `is_watchful`: a
    file that has changed since it was listed is an error.
    """

    format: FileFormat
    schema: pa.Schema | None
    row_type: Any
    constants: tuple[tuple[str | None, pa.Field], ...] = ()
    row_numbers: str | None = None
    predicate: Expression | None = None
    working: pa.Schema | None = None
    is_watchful: bool = True


@dataclass(frozen=True, slots=True)
class FileScan:
    """Columns of the files, of their folders and about the files; emits `columns` of the rows where `predicate` is
    true.

    `file_schema` is None if rows of the format are not columns; `annotations` has the metadata of the files and their
    columns (`core.schema_metadata`). Picklable.
    """

    files: FileSystem
    format: FileFormat
    file_schema: pa.Schema | None
    partitions: pa.Schema
    metadata: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] | None = None
    annotations: pa.Schema = NO_METADATA
    predicate: Expression | None = None

    @property
    def schema(self) -> pa.Schema | None:
        """All available columns; partition columns replace columns of the same name in the files."""
        if self.file_schema is None:
            return None
        told = set(self.partitions.names)
        fields = [field for field in self.file_schema if field.name not in told]
        return pa.schema([*fields, *self.partitions, *self._metadata_fields()])

    @property
    def produced_schema(self) -> pa.Schema | None:
        """The columns emitted."""
        schema = self.schema
        if schema is None or self.columns is None:
            return schema
        fields = dict(zip(schema.names, schema, strict=True))
        return pa.schema([fields[name] for name in self.columns])

    @property
    def produced_annotations(self) -> pa.Schema:
        """The metadata of the emitted columns."""
        produced = self.produced_schema
        if produced is None or is_empty(self.annotations):
            return NO_METADATA
        held = set(self.annotations.names)
        made = metadata_of_columns(self.annotations, {n: n if n in held else None for n in produced.names})
        return made if self.predicate is None else metadata_of_fewer_rows(made)

    @property
    def produced_type(self) -> TypeInformation | None:
        """The format's own type if it has one and no column was added; otherwise the columns."""
        declared = self.format.produced_type
        if declared is not None and not self.partitions and not self.metadata:
            if self.columns is None:
                return declared
            if isinstance(declared, RowTypeInfo):
                kinds = dict(zip(declared.get_field_names(), declared.get_field_types(), strict=True))
                return RowTypeInfo([kinds[name] for name in self.columns], list(self.columns))
        schema = self.produced_schema
        return None if schema is None else ColumnsTypeInfo(schema)

    @property
    def needs_whole_files(self) -> bool:
        """True if rows must be counted from the start of a file."""
        name = self._row_number_name()
        return name is not None and self.format.with_row_numbers(name) is None

    def check_names(self) -> None:
        """Raises JobGraphError if two columns would have the same name."""
        schema = self.schema
        if schema is None:
            return
        twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
        if twice:
            raise JobGraphError(
                f"metadata: there already is a column {twice[0]!r}; rename it with {{kind: name of the column}}"
            )

    def with_columns(self, columns: Sequence[str]) -> FileScan | None:
        """The scan with only these columns; None if it has no columns to choose from."""
        if self.schema is None or (self._is_as_is and self.format.with_schema(self.file_schema) is None):
            return None
        return replace(self, columns=tuple(columns))

    def with_filter(self, predicate: Expression) -> FileScan | None:
        """The scan without the rows for which the predicate is not true; None if it has no columns to evaluate."""
        schema = self.schema
        if schema is None or (self._is_as_is and self.format.with_schema(self.file_schema) is None):
            return None
        ex.bind([predicate], schema)  # raises if it does not fit
        both = predicate if self.predicate is None else self.predicate & predicate
        return replace(self, predicate=both)

    def partition_predicate(self) -> Expression | None:
        """The parts of the predicate that use only folder columns."""
        return self._part(lambda columns: bool(columns) and columns <= set(self.partitions.names))

    def read_plan(self) -> ReadPlan:
        """Divides the work between the format and the source."""
        schema, produced = self.schema, self.produced_schema
        read = self.format if self.file_schema is None else self.format.with_schema(self.file_schema)
        if schema is None or produced is None or (read is None and self._is_as_is):
            return ReadPlan(self.format, None, self.produced_type)
        assert self.file_schema is not None
        has_plain_columns = read is not None
        reading: FileFormat = self.format if read is None else read
        own = {field.name for field in self.file_schema} - set(self.partitions.names)
        of_files = self._part(lambda columns: columns <= own)
        left = [self._part(lambda columns: not columns <= own and not columns <= set(self.partitions.names))]
        counts_rows = self.needs_whole_files
        filtered = None
        if of_files is not None and has_plain_columns and not counts_rows:
            filtered = reading.with_filter(of_files)
        if filtered is None:
            left.append(of_files)
        else:
            reading = filtered
        predicate = (
            reduce(operator.and_, [part for part in left if part is not None])
            if any(part is not None for part in left)
            else None
        )
        needed = set(produced.names)
        if predicate is not None:
            needed |= ex.bind([predicate], schema).columns
        working = pa.schema([field for field in schema if field.name in needed])
        if has_plain_columns:
            narrowed = reading.with_schema(pa.schema([field for field in working if field.name in own]))
            assert narrowed is not None, f"{reading} accepts a schema only once"
            reading = narrowed
        name = self._row_number_name()
        if name not in needed:
            name = None
        if name is not None and not counts_rows:
            numbered = reading.with_row_numbers(name)
            assert numbered is not None, f"{reading} accepts row numbers only once"
            reading, name = numbered, None
        return ReadPlan(reading, produced, self.produced_type, self._constants(needed), name, predicate, working)

    @property
    def _is_as_is(self) -> bool:
        return not self.partitions and not self.metadata

    def _metadata_fields(self) -> list[pa.Field]:
        return [pa.field(name, METADATA_TYPES[kind]) for kind, name in self.metadata]

    def _row_number_name(self) -> str | None:
        return next((name for kind, name in self.metadata if kind == ROW_NUMBER), None)

    def _constants(self, needed: set[str]) -> tuple[tuple[str | None, pa.Field], ...]:
        folders = [(None, field) for field in self.partitions]
        about = [(kind, pa.field(name, METADATA_TYPES[kind])) for kind, name in self.metadata if kind != ROW_NUMBER]
        return tuple((kind, field) for kind, field in [*folders, *about] if field.name in needed)

    def _part(self, is_wanted: Any) -> Expression | None:
        """The conjunction of those parts of the predicate whose columns pass `is_wanted`."""
        if self.predicate is None:
            return None
        schema = self.schema
        assert schema is not None
        parts = [part for part in ex.conjuncts(self.predicate) if is_wanted(ex.bind([part], schema).columns)]
        return reduce(operator.and_, parts) if parts else None
