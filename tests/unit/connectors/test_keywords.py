"""Unknown options of sources and sinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.keywords import check_keywords
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import ConfigurationError


def read(method: str) -> Callable[..., Any]:
    return lambda path, **options: getattr(StreamExecutionEnvironment.get_execution_environment(), method)(
        path, **options
    )


@pytest.mark.parametrize(
    ("make", "name", "hint"),
    [
        (
            FileSink.parquet,
            "compresion",
            "unknown option 'compresion'; did you mean 'compression'?",
        ),
        (FileSink.parquet, "row_group_size", "did you mean 'row_group_rows'?"),
        (FileSink.csv, "sep", "FileSink.csv(): unknown option 'sep'; did you mean 'delimiter'?"),
        (FileSink.json_lines, "partition_bye", "did you mean 'partition_by'?"),
        (FileSink.ipc, "overwrite", "did you mean 'mode'?"),
        (FileSink.ipc, "zzz", "it takes buffered_bytes_max, check_interval_ms, compression"),
        (FileSource.parquet, "scheme", "FileSource.parquet(): unknown option 'scheme'; did you mean 'schema'?"),
        (FileSource.csv, "sep", "FileSource.csv(): unknown option 'sep'; did you mean 'delimiter'?"),
        (FileSource.csv, "na_values", "did you mean 'null_values'?"),
        (FileSource.csv, "charset", "did you mean 'encoding'?"),
        (FileSource.json_lines, "dtypes", "did you mean 'column_types'?"),
        (FileSource.parquet, "union_by_name", "did you mean 'schema_merge'?"),
        (FileSource.parquet, "batch_size", "did you mean 'batch_rows'?"),
        (FileSource.json_lines, "on_malformedd", "FileSource.json_lines(): unknown option"),
        (FileSource.text, "encoding", "did you mean 'charset'?"),
        (FileSource.ipc, "batch_rows", "FileSource.ipc(): unknown option 'batch_rows'"),
        (FileSource.orc, "partition", "did you mean 'partitions'?"),
        (read("read_csv"), "delimeter", "did you mean 'delimiter'?"),
        (read("read_parquet"), "colums", "FileSource.parquet(): unknown option 'colums'"),
    ],
)
def test_an_unknown_option_is_an_error_that_names_the_nearest(make: Any, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("/nowhere", **{name: "x"})
    assert hint in str(raised.value)


def test_known_options_pass() -> None:
    check_keywords("f()", ["a", "b"], ["b", "a", "c"])
    FileSink.parquet("/nowhere", compression="zstd", mode="overwrite", empty_file=False)


@pytest.mark.parametrize(("mode", "publish"), [("replace", "at_end"), ("overwrite", "when_rolled")])
def test_modes_that_cannot_be(mode: Any, publish: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"append, error, overwrite|files that appear together"):
        FileSink.csv("/nowhere", mode=mode, publish=publish)
