"""Key-value metadata of files and columns is carried from input files to output files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import col, count

WAIT_S = 60
GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": ["Point"],
            "crs": {"id": {"authority": "EPSG", "code": 4326}},
            "edges": "planar",
            "bbox": [0.0, 0.0, 99.0, 99.0],
            "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
        }
    },
}
CELLS = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "1", "comment": "of the place"}),
        pa.field("geometry", pa.binary(), metadata={"PARQUET:field_id": "2"}),
        pa.field("bbox", CELLS),
    ],
    metadata={"geo": json.dumps(GEO), "license": "CC0"},
)


def places(start: int, stop: int) -> pa.Table:
    ids = range(start, stop)
    points = [struct.pack("<BIdd", 1, 1, n, n) for n in ids]
    boxes = [{"xmin": n, "ymin": n, "xmax": n, "ymax": n} for n in ids]
    return pa.table([pa.array(ids), pa.array(points), pa.array(boxes, CELLS)], schema=SCHEMA)


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with EmbeddedCluster({"cluster.slots": "2"}) as cluster:
        cluster.start()
        assert cluster.wait_started(WAIT_S)
        with use_executor(cluster):
            made = StreamExecutionEnvironment.get_execution_environment()
            made.set_parallelism(2)
            yield made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "in").mkdir()
    for number in range(3):
        pq.write_table(places(number * 100, number * 100 + 100), tmp_path / "in" / f"{number}.parquet")
    return str(tmp_path / "in")


def footers(folder: Path) -> list[Any]:
    """The schema of each file, all of which say the same."""
    found = [pq.read_schema(path) for path in sorted(folder.iterdir())]
    assert found
    assert all(one.equals(found[0], check_metadata=True) for one in found)
    return found


def geo_of(schema: pa.Schema) -> Any:
    return json.loads(schema.metadata[b"geo"])


def test_geo_survives_a_filter_and_an_exchange(env: StreamExecutionEnvironment, folder: str, tmp_path: Path) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.read_parquet(folder).filter(col("id") % 3 == 0).rebalance().filter(col("id") < 250).sink_to(
        FileSink.parquet(str(tmp_path / "out"))
    )
    env.execute()
    files = footers(tmp_path / "out")
    assert len(files) == 2
    geometry = {key: value for key, value in GEO["columns"]["geometry"].items() if key != "bbox"}  # type: ignore[index]
    assert geo_of(files[0]) == {**GEO, "columns": {"geometry": geometry}}
    assert files[0].metadata[b"license"] == b"CC0"
    assert files[0].field("id").metadata == {b"PARQUET:field_id": b"1", b"comment": b"of the place"}
    duckdb = pytest.importorskip("duckdb")
    back = duckdb.sql(
        f"select typeof(geometry) kind, count(*) n, max(id) last from '{tmp_path}/out/*.parquet' group by 1"
    )
    assert [(kind.split("(")[0], n, last) for kind, n, last in back.fetchall()] == [("GEOMETRY", 84, 249)]


def test_geo_follows_columns_that_are_renamed_and_those_that_are_gone(
    env: StreamExecutionEnvironment, folder: str, tmp_path: Path
) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    rows = env.read_parquet(folder)
    rows.select("id", geom=col("geometry")).sink_to(FileSink.parquet(str(tmp_path / "renamed")))
    rows.drop("geometry").sink_to(FileSink.parquet(str(tmp_path / "gone")))
    rows.key_by("geometry").aggregate(n=count()).sink_to(FileSink.parquet(str(tmp_path / "counted")))
    rows.sink_to(FileSink.parquet(str(tmp_path / "given"), metadata={"geo": "mine"}))
    env.execute()
    geo = geo_of(footers(tmp_path / "renamed")[0])
    assert (geo["primary_column"], list(geo["columns"])) == ("geom", ["geom"])
    assert "covering" not in geo["columns"]["geom"]
    assert footers(tmp_path / "gone")[0].metadata == {b"license": b"CC0"}
    counted = footers(tmp_path / "counted")[0]
    assert (list(counted.metadata), geo_of(counted)["primary_column"]) == ([b"geo"], "geometry")
    assert footers(tmp_path / "given")[0].metadata == {b"license": b"CC0", b"geo": b"mine"}


def test_a_partition_column_takes_its_entry_out_of_the_files(
    env: StreamExecutionEnvironment, folder: str, tmp_path: Path
) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    rows = env.read_parquet(folder).with_columns(third=col("id") % 3)
    rows.sink_to(FileSink.parquet(str(tmp_path / "out"), partition_by=["third"]))
    env.execute()
    files = [pq.read_schema(path) for path in sorted((tmp_path / "out").rglob("*.parquet"))]
    assert {geo_of(one)["primary_column"] for one in files} == {"geometry"}
    back = env.read_parquet(str(tmp_path / "out")).to_arrow()
    assert (back.num_rows, geo_of(back.schema)["primary_column"]) == (300, "geometry")
    assert back.schema.field("geometry").metadata == {b"PARQUET:field_id": b"2"}


@pytest.mark.parametrize("declared", [None, SCHEMA])
def test_a_watched_folder_has_the_metadata_of_its_declared_schema_alone(
    env: StreamExecutionEnvironment, folder: str, declared: pa.Schema | None, tmp_path: Path
) -> None:
    """A file that comes later may have other coordinates."""
    env.enable_checkpointing(50)
    options = {} if declared is None else {"schema": declared}
    rows = env.read_parquet(folder, monitor_interval=0.05, **options).filter(col("id") >= 50).rebalance()
    rows.sink_to(FileSink.parquet(str(tmp_path / "out")))
    client = env.execute_async()
    late = places(300, 400).replace_schema_metadata({"geo": json.dumps(GEO).replace("4326", "3857")})
    pq.write_table(late, tmp_path / "late.parquet")
    (tmp_path / "late.parquet").rename(tmp_path / "in" / "late.parquet")
    written = 0
    while written < 350:
        visible = list((tmp_path / "out").glob("*.parquet"))
        written = sum(pq.read_metadata(path).num_rows for path in visible)
    client.cancel().result()
    metadata = pq.read_schema(visible[0]).metadata or {}
    assert (b"geo" in metadata, metadata.get(b"license")) == ((False, None) if declared is None else (True, b"CC0"))


def test_arrow_files_orc_files_and_tables(env: StreamExecutionEnvironment, folder: str, tmp_path: Path) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    rows = env.read_parquet(folder)
    rows.sink_to(FileSink.ipc(str(tmp_path / "ipc")))
    rows.drop("bbox").sink_to(FileSink.orc(str(tmp_path / "orc")))
    env.execute()
    arrow = feather.read_table(next((tmp_path / "ipc").iterdir())).schema
    assert (geo_of(arrow)["primary_column"], arrow.field("id").metadata) == ("geometry", SCHEMA.field("id").metadata)
    columns = orc.ORCFile(next((tmp_path / "orc").iterdir())).schema
    assert columns.field("geometry").metadata == {b"PARQUET:field_id": b"2"}
    for source in (FileSource.ipc(str(tmp_path / "ipc")), FileSource.orc(str(tmp_path / "orc"))):
        assert source.produced_metadata.field("id").metadata == SCHEMA.field("id").metadata
    table = env.read_ipc(str(tmp_path / "ipc")).to_arrow()
    assert geo_of(table.schema)["columns"]["geometry"]["geometry_types"] == ["Point"]
    again = env.from_arrow(table).filter(col("id") < 9).to_arrow()
    assert (again.num_rows, again.schema.field("id").metadata) == (9, SCHEMA.field("id").metadata)
    assert geo_of(rows.to_arrow().schema) == GEO


def test_a_join_keeps_what_both_sides_say_of_their_columns(
    env: StreamExecutionEnvironment, folder: str, tmp_path: Path
) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    rows = env.read_parquet(folder)
    other = rows.select("id", place=col("geometry"), comment=col("id") + 1)
    rows.select("id", "bbox").join(other, on="id", how="left").sink_to(FileSink.parquet(str(tmp_path / "out")))
    env.execute()
    joined = footers(tmp_path / "out")[0]
    assert (joined.names, list(joined.metadata)) == (["id", "bbox", "place", "comment"], [b"geo"])
    assert (geo_of(joined)["primary_column"], joined.field("id").metadata) == ("place", SCHEMA.field("id").metadata)
    assert joined.field("place").metadata == {b"PARQUET:field_id": b"2"}


def test_files_of_different_units_in_inner_fields(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    (tmp_path / "in").mkdir()
    for unit in ("cm", "inch"):
        size = pa.struct([pa.field("height", pa.int32(), metadata={"unit": unit})])
        pq.write_table(pa.table({"size": pa.array([{"height": 1}], size)}), tmp_path / "in" / f"{unit}.parquet")
    rows = env.read_parquet(str(tmp_path / "in"))
    rows.sink_to(FileSink.parquet(str(tmp_path / "out")))
    env.execute()
    for schema in (footers(tmp_path / "out")[0], rows.to_arrow().schema):
        assert not schema.field("size").type.field(0).metadata


class Wkb(pa.ExtensionType):
    """As the types that geoarrow-pyarrow registers."""

    def __init__(self) -> None:
        super().__init__(pa.binary(), "tests.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"EPSG:4326"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Wkb:
        return cls()


@pytest.fixture
def registered() -> Iterator[pa.ExtensionType]:
    pa.register_extension_type(Wkb())
    yield Wkb()
    pa.unregister_extension_type("tests.wkb")


@pytest.mark.parametrize("kind", [Wkb(), pa.json_()], ids=str)
def test_columns_of_types_that_the_program_registered(
    env: StreamExecutionEnvironment, tmp_path: Path, kind: pa.DataType, registered: pa.ExtensionType
) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    values = pa.array(["1", "2", None]).cast(kind.storage_type)  # type: ignore[attr-defined]
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"a": pa.ExtensionArray.from_storage(kind, values)}), tmp_path / "in" / "0.parquet")
    env.read_parquet(str(tmp_path / "in")).filter(col("a").is_not_null).sink_to(FileSink.parquet(str(tmp_path / "out")))
    env.execute()
    back = pq.read_table(tmp_path / "out")
    assert (str(back.schema.field("a").type), back.num_rows) == (str(kind), 2)


def test_a_cached_stream(env: StreamExecutionEnvironment, folder: str) -> None:
    kept = env.read_parquet(folder).filter(col("id") < 150).cache()
    first, second = kept.to_arrow(), kept.to_arrow()
    assert first.schema.equals(second.schema, check_metadata=True)
    assert (second.num_rows, geo_of(second.schema)["primary_column"]) == (150, "geometry")


def test_frames_are_as_before(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    """An index of pandas is a column of the stream; a file that has the same columns says so again."""
    pd = pytest.importorskip("pandas")
    pd.DataFrame({"a": [1, 2, 3]}, index=["x", "y", "z"]).to_parquet(tmp_path / "frame.parquet")
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    rows = env.read_parquet(str(tmp_path / "frame.parquet"))
    assert list(rows.to_pandas().columns) == ["a", "__index_level_0__"]
    rows.filter(col("a") > 1).sink_to(FileSink.parquet(str(tmp_path / "same")))
    rows.with_columns(b=col("a") + 1).sink_to(FileSink.parquet(str(tmp_path / "more")))
    env.execute()
    assert list(pd.read_parquet(tmp_path / "same").sort_index().index) == ["y", "z"]
    assert list(pd.read_parquet(tmp_path / "more").columns) == ["a", "__index_level_0__", "b"]
