"""Streams of files, tables and generators: names and columns; nothing is executed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest
from oracle.recorder import Recorder

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import ConfigurationError, JobGraphError, TypeMismatchError

TABLE = pa.table({"n": pa.array([1, 2], pa.int64()), "s": ["a", "b"]})


def test_files_of_every_kind_have_columns(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    pa.parquet.write_table(TABLE, tmp_path / "t.parquet")
    pa.feather.write_feather(TABLE, tmp_path / "t.arrow")
    pa.orc.write_table(TABLE, tmp_path / "t.orc")
    (tmp_path / "t.csv").write_text("n,s\n1,a\n2,b\n")
    (tmp_path / "t.jsonl").write_text('{"n": 1, "s": "a"}\n')
    (tmp_path / "t.txt").write_text("a b\n")
    assert env.read_parquet(tmp_path / "t.parquet").schema == TABLE.schema
    assert env.read_ipc(str(tmp_path / "t.arrow")).schema == TABLE.schema
    assert env.read_orc([tmp_path / "t.orc"]).schema == TABLE.schema
    assert env.read_csv(tmp_path / "t.csv").schema == TABLE.schema
    assert env.read_json_lines(tmp_path / "t.jsonl").schema == TABLE.schema
    assert env.read_text(tmp_path / "t.txt").schema == pa.schema([("value", pa.utf8())])


def test_streams_are_named_after_what_they_read(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pa.parquet.write_table(TABLE, tmp_path / f"{name}.parquet")
    assert env.read_parquet(tmp_path / "a.parquet").get_name() == "Parquet a.parquet"
    assert env.read_parquet(f"{tmp_path}/").get_name() == f"Parquet {tmp_path.name}"
    both = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert env.read_parquet(both).get_name() == "Parquet a.parquet and 1 more"
    assert env.from_arrow(TABLE).get_name() == "Arrow table"


def test_an_empty_path_is_refused(env: StreamExecutionEnvironment) -> None:
    for read in (env.read_parquet, env.read_csv, env.read_json_lines, env.read_text, env.read_ipc, env.read_orc):
        with pytest.raises(ConfigurationError, match="the path '' is empty"):
            read("")
        with pytest.raises(JobGraphError, match="at least one path"):
            read([])


def test_options_go_to_the_format(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    pa.parquet.write_table(TABLE, tmp_path / "a.parquet")
    read = env.read_parquet(tmp_path / "a.parquet", columns=["s", "file_name"], metadata=["file_name"])
    assert read.schema.names == ["s", "file_name"]
    with pytest.raises(ConfigurationError, match="unknown option 'colums'; did you mean 'columns'"):
        env.read_parquet(tmp_path / "a.parquet", colums=["s"])
    with pytest.raises(JobGraphError):
        env.read_parquet(tmp_path / "b.parquet")


def test_tables_of_any_form(env: StreamExecutionEnvironment) -> None:
    for data in (TABLE, TABLE.to_batches()[0], TABLE.to_batches()):
        assert env.from_arrow(data).schema == TABLE.schema
    with pytest.raises(TypeMismatchError, match="at least one RecordBatch"):
        env.from_arrow([])
    with pytest.raises(TypeMismatchError, match="at least one RecordBatch"):
        env.from_arrow([1])


def test_generated_columns(env: StreamExecutionEnvironment) -> None:
    made = env.generate(
        lambda start, stop: pa.record_batch({"n": list(range(start, stop))}).cast(TABLE.select(["n"]).schema)
    )
    assert made.schema == TABLE.select(["n"]).schema
    declared = env.generate(
        lambda start, stop: [(n,) for n in range(start, stop)], 10, schema=TABLE.select(["n"]).schema
    )
    assert declared.schema == made.schema


@pytest.mark.parametrize("method", ["from_collection", "from_arrow", "from_pandas", "from_polars"])
def test_a_stream_is_no_data_and_starts_no_job(
    env: StreamExecutionEnvironment, executor: Recorder, method: str
) -> None:
    stream = env.from_arrow(TABLE)
    with pytest.raises(TypeError, match=rf"{method}\(\) takes .*DataStream"):
        getattr(env, method)(stream)
    with pytest.raises(TypeError, match=rf"{method}\(\) takes .*(int|7)"):
        getattr(env, method)(7)
    assert not executor.submitted


def test_tables_are_not_taken_for_collections_of_their_columns(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(TypeError, match=r"write from_arrow\(\)"):
        env.from_collection(TABLE)
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"write from_polars\(\)"):
        env.from_collection(polars.from_arrow(TABLE))
    with pytest.raises(TypeError, match=r"LazyFrame: write from_polars\(frame.collect\(\)\)"):
        env.from_polars(polars.from_arrow(TABLE).lazy())
    with pytest.raises(TypeError, match=r"takes a pandas\.DataFrame, got polars"):
        env.from_pandas(polars.from_arrow(TABLE))
