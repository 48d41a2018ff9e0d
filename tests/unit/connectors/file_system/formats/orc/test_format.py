from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.orc as orc
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.errors import DataFormatError


def test_a_time_beyond_nanoseconds_is_not_called_corrupt(driver: Driver, tmp_path: Path) -> None:
    late = pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))
    path = str(tmp_path / "in.orc")
    orc.write_table(pa.table({"a": [1], "t": late}), path)
    with pytest.raises(DataFormatError, match=r"column 't': .* are not supported \(the file is not corrupt\)"):
        driver.batches(FileSource.orc(path))
    (batch,) = driver.batches(FileSource.orc(path, columns=["a"]))
    assert batch.columns().to_pylist() == [{"a": 1}]
