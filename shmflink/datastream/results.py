"""Results of a job in the user's process, as columns."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

import pyarrow as pa

from shmflink.core.schema_metadata import NO_METADATA, described_rows
from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.errors import ConfigurationError

__all__ = ["plain_batches", "require"]


def plain_batches(
    batches: Iterator[pa.RecordBatch], declared: TypeInformation | None, annotations: pa.Schema = NO_METADATA
) -> Iterator[pa.RecordBatch]:
    """The batches; if their types are declared, with exactly these types and the metadata of the annotated schema."""
    schema = schema_of(declared)
    schema = None if schema is None else described_rows(schema, annotations)
    for batch in batches:
        if schema is None:
            yield batch.replace_schema_metadata(None)
        else:
            yield batch if batch.schema.equals(schema, check_metadata=True) else batch.cast(schema)


def require(module: str, method: str) -> ModuleType:
    """Imports an optional package; if it is missing, raises a ConfigurationError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{method} needs {module}, which is not installed: pip install 'shmflink[{module}]'"
        ) from error
