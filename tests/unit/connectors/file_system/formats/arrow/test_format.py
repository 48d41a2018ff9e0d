from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.expressions import col

pl = pytest.importorskip("polars")


@pytest.mark.parametrize("level", ["newest", "oldest"])
def test_categories_enumerations_and_views_of_polars_are_strings(driver: Driver, tmp_path: Path, level: str) -> None:
    frame = pl.DataFrame(
        {
            "c": pl.Series(["a", "b", "a", None], dtype=pl.Categorical),
            "e": pl.Series(["x", "y", None, "x"], dtype=pl.Enum(["x", "y"])),
            "s": ["q", "a text longer than 12 bytes", None, ""],
        }
    )
    path = tmp_path / "in.arrow"
    frame.write_ipc(path, compat_level=getattr(pl.CompatLevel, level)())
    source = FileSource.ipc(str(path))
    assert source.schema is not None
    assert set(source.schema.types) <= {pa.string(), pa.large_string()}
    read = [row for batch in driver.batches(source) for row in batch.columns().to_pylist()]
    assert read == frame.to_dicts()
    filtered = source.with_filter((col("c") == "a") & col("e").is_null)
    assert filtered is not None
    kept = [row for batch in driver.batches(filtered[0]) for row in batch.columns().to_pylist()]
    assert kept == [{"c": "a", "e": None, "s": None}]
