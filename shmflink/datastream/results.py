"""Results of a job in the user's process, as columns. All of it *shmflink only*.

The client never holds more than what it has asked for: batches wait in the job, which stands still meanwhile.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.datastream.collect import CloseableIterator
from shmflink.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream
    from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["ResultMethods", "plain_batches", "require"]


class ResultMethods:
    """Part of `DataStream`.

    Of updates (`aggregate()`, `reduce()`, ... in STREAMING mode) these hand out the final rows, each once, when a
    bounded input has ended; of an unbounded input every update as it comes. `updates()` in front of them gives every
    update of a bounded input, too.
    """

    if TYPE_CHECKING:
        _environment: StreamExecutionEnvironment

        def _value_type(self) -> TypeInformation | None: ...

        def _collected(self) -> DataStream: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None) -> CloseableIterator: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None, *, limit: int) -> list[Any]: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None, limit: int) -> list[Any]: ...

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator | list[Any]:
        """Runs the job and hands out the elements: an iterator to close, or a list of the first `limit`.

        Of a KeyedStream these are `Row(f0=key, f1=value)`, as in PyFlink, in the order of their source.
        """
        if limit is not None and limit <= 0:
            raise UsageError(f"execute_and_collect(): limit must be greater than 0, got {limit}")
        with self._environment.program.all_or_nothing():
            iterator = self._environment.collect(self._collected(), job_execution_name)
        if limit is None:
            return iterator
        with iterator:
            return list(islice(iterator, limit))

    def iter_batches(self, job_name: str | None = None) -> CloseableIterator:
        """*shmflink only.* Runs the job and hands out `pyarrow.RecordBatch`es as they come; closing cancels it."""
        with self._environment.program.all_or_nothing():
            return self._environment.collect_batches(self, job_name)  # type: ignore[arg-type]  # a DataStream

    def to_arrow(self, job_name: str | None = None) -> pa.Table:
        """*shmflink only.* Runs the job and returns all of the stream as a `pyarrow.Table`, in no certain order."""
        schema = schema_of(self._value_type())
        with self.iter_batches(job_name) as batches:
            found = list(batches)
        if schema is None:  # rows of types that nobody declared
            return pa.Table.from_batches(found) if found else pa.table({})
        return pa.Table.from_batches(found, schema)

    def collect_arrow(self, job_name: str | None = None) -> pa.Table:
        """*shmflink only.* The same as `to_arrow`."""
        return self.to_arrow(job_name)

    def to_pandas(self, job_name: str | None = None) -> Any:
        """*shmflink only.* As `to_arrow`, as a `pandas.DataFrame`. Needs pandas."""
        require("pandas", "to_pandas()")
        return self.to_arrow(job_name).to_pandas()

    def to_polars(self, job_name: str | None = None) -> Any:
        """*shmflink only.* As `to_arrow`, as a `polars.DataFrame`. Needs polars."""
        polars = require("polars", "to_polars()")
        return polars.from_arrow(self.to_arrow(job_name))


def plain_batches(batches: Iterator[pa.RecordBatch], declared: TypeInformation | None) -> Iterator[pa.RecordBatch]:
    """The batches without metadata and, where their types are declared, with exactly these."""
    schema = schema_of(declared)
    for batch in batches:
        if schema is None:
            yield batch.replace_schema_metadata(None)
        else:
            yield batch if batch.schema.equals(schema, check_metadata=True) else batch.cast(schema)


def require(module: str, method: str) -> Any:
    """Raises ConfigurationError, saying what to install, where an optional package is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{method} needs {module}, which is not installed: pip install 'shmflink[{module}]'"
        ) from error
