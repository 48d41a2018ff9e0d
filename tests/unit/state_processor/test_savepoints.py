"""Savepoints from Arrow tables, modified copies of others, and how a job's state backend restores them."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.checkpoint.manifest import SAVEPOINT
from shmflink.checkpoint.reading import open_checkpoint, restored_state, verify_checkpoint
from shmflink.common import Types
from shmflink.common.time import Time
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.core.keys.groups import range_of
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from shmflink.errors import CheckpointError, TypeMismatchError, UsageError, UserFunctionError
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state_processor import (
    KeyedStateBootstrapFunction,
    OperatorIdentifier,
    OperatorTransformation,
    SavepointReader,
    SavepointWriter,
    savepoint_writer,
)
from shmflink.testing import ManualClock

GROUPS = 32
TOTAL = ValueStateDescriptor("total", Types.LONG())


def writer() -> SavepointWriter:
    return SavepointWriter.new_savepoint(GROUPS, clock=ManualClock(processing_time_ms=5_000))


def entries(path: str, uid: str, descriptor: StateDescriptor, parallelism: int = 3) -> dict[Any, Any]:
    """What the subtasks of a job find in their backends, by key."""
    manifest = open_checkpoint(path)
    operator_id = OperatorIdentifier.for_uid(uid).operator_id
    found: dict[Any, Any] = {}
    for subtask in range(parallelism):
        groups = range_of(subtask, GROUPS, parallelism)
        backend = HeapKeyedStateBackend(GROUPS, operator=uid)
        backend.restore(restored_state(manifest, path, operator_id, subtask, parallelism, groups, GROUPS))
        backend.state(descriptor)  # types are compared here
        mine = dict(backend.table(descriptor.name).entries())
        assert not set(mine) & set(found)
        found |= mine
    return found


def of(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    return dict(zip(decode_keys(encode_keys(keys)), values, strict=True))


def test_a_table_becomes_the_state_of_a_job(tmp_path: Path) -> None:
    """[C21] Whatever the parallelism of the job that starts from it."""
    words = [f"word {i}" for i in range(1000)]
    table = pa.table({"word": words, "count": pa.array(range(1000), pa.int32())})
    path = writer().with_keyed_state("counts", TOTAL, table, key="word", value="count").write(str(tmp_path / "sp"))
    for parallelism in (1, 3, GROUPS):
        assert entries(path, "counts", TOTAL, parallelism) == of(words, list(range(1000)))
    manifest = open_checkpoint(path)
    assert (manifest.kind, manifest.timestamp_ms, manifest.operators[0].uid) == (SAVEPOINT, 5_000, "counts")
    assert verify_checkpoint(path, manifest) > 0
    assert (
        SavepointReader.read(path)
        .read_keyed_state("counts", "total")
        .sort_by("value")
        .equals(pa.table({"key": words, "value": range(1000)}))
    )


_DAY = dt.date(2024, 2, 29)
_KEYS: list[tuple[pa.Array, list[Any]]] = [
    (pa.array([1, 2], pa.int16()), [1, 2]),
    (pa.array(["a", None]), ["a", None]),
    (pa.array([1.5, -0.0]), [1.5, -0.0]),
    (pa.array([True, False]), [True, False]),
    (pa.array([b"x", b""]), [b"x", b""]),
    (pa.array([_DAY, dt.date(1, 1, 1)]), [_DAY, dt.date(1, 1, 1)]),
    (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
]


@pytest.mark.parametrize(("column", "keys"), _KEYS, ids=[str(column.type) for column, _ in _KEYS])
def test_keys_of_every_type_are_those_of_the_job(tmp_path: Path, column: pa.Array, keys: list[Any]) -> None:
    table = pa.table({"k": column, "v": [1, 2]})
    path = writer().with_keyed_state("op", TOTAL, table, key="k").write(str(tmp_path / "sp"))
    assert entries(path, "op", TOTAL) == of(keys, [1, 2])
    read = SavepointReader.read(path).read_keyed_state("op", "total")
    assert dict(zip(read["key"].to_pylist(), read["value"].to_pylist(), strict=True)) == dict(
        zip(keys, [1, 2], strict=True)
    )


def test_several_key_columns_are_a_tuple(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 1, 2], "b": ["x", "y", "x"], "v": [7, 8, 9]})
    path = writer().with_keyed_state("op", TOTAL, table, key=["a", "b"]).write(str(tmp_path / "sp"))
    assert entries(path, "op", TOTAL) == of([(1, "x"), (1, "y"), (2, "x")], [7, 8, 9])
    read = SavepointReader.read(path).read_keyed_state("op", "total")
    assert {(row["key"]["f0"], row["key"]["f1"]): row["value"] for row in read.to_pylist()} == {
        (1, "x"): 7,
        (1, "y"): 8,
        (2, "x"): 9,
    }


_POINT = Types.ROW_NAMED(["x", "y"], [Types.DOUBLE(), Types.STRING()])
_VALUES: list[tuple[TypeInformation, dict[str, Any], list[Any]]] = [
    (Types.STRING(), {"v": ["a", None]}, ["a"]),
    (Types.SQL_DATE(), {"v": [_DAY, None]}, [_DAY]),
    (Types.DOUBLE(), {"v": pa.array([1, None], pa.int8())}, [1.0]),
    (Types.TUPLE([Types.INT(), Types.STRING()]), {"p": [1, 2], "q": ["a", "b"]}, [(1, "a"), (2, "b")]),
    (_POINT, {"v": [{"x": 1.0, "y": "a"}, {"x": 2.0, "y": "b"}]}, [Row(x=1.0, y="a"), Row(x=2.0, y="b")]),
    (Types.PICKLED_BYTE_ARRAY(), {"v": [[1, 2], None]}, [[1, 2]]),
    (Types.PICKLED_BYTE_ARRAY(), {"p": [1, 2], "q": ["a", "b"]}, [(1, "a"), (2, "b")]),
    (Types.LIST(Types.LONG()), {"v": [[1, 2], []]}, [[1, 2], []]),
]


@pytest.mark.parametrize(("kind", "columns", "values"), _VALUES, ids=[f"{k}-{list(c)}" for k, c, _ in _VALUES])
def test_values_of_declared_types(
    tmp_path: Path, kind: TypeInformation, columns: dict[str, Any], values: list[Any]
) -> None:
    descriptor = ValueStateDescriptor("s", kind)
    table = pa.table({"k": ["one", "two"], **columns})
    path = writer().with_keyed_state("op", descriptor, table, key="k").write(str(tmp_path / "sp"))
    assert entries(path, "op", descriptor) == of(["one", "two"][: len(values)], values)


def test_lists_and_maps_by_item_and_whole(tmp_path: Path) -> None:
    tags, stock = ListStateDescriptor("tags", Types.STRING()), MapStateDescriptor("stock", Types.STRING(), Types.LONG())
    items = pa.table({"k": [2, 1, 2, 1], "tag": ["a", "b", "c", "d"], "n": [1, 2, 3, 4]})
    path = (
        writer()
        .with_keyed_state("items", tags, items, key="k", value="tag")
        .with_keyed_state("items", stock, items, key="k", value=["tag", "n"])
        .write(str(tmp_path / "items"))
    )
    lists = of([1, 2], [["b", "d"], ["a", "c"]])
    maps = of([1, 2], [{"b": 2, "d": 4}, {"a": 1, "c": 3}])
    assert entries(path, "items", tags) == lists
    assert entries(path, "items", stock) == maps
    whole = pa.table(
        {
            "k": [1, 2],
            "tags": [["b", "d"], ["a", "c"]],
            "stock": pa.array([[("b", 2), ("d", 4)], [("a", 1), ("c", 3)]], pa.map_(pa.string(), pa.int32())),
        }
    )
    path = (
        writer()
        .with_keyed_state("whole", tags, whole, key="k", value="tags")
        .with_keyed_state("whole", stock, whole, key="k", value="stock")
        .write(str(tmp_path / "whole"))
    )
    assert entries(path, "whole", tags) == lists
    assert entries(path, "whole", stock) == maps


def test_time_to_live_counts_from_the_writing(tmp_path: Path) -> None:
    config = StateTtlConfig.new_builder(Time.seconds(10)).build()
    value, items = ValueStateDescriptor("v", Types.LONG()), ListStateDescriptor("l", Types.LONG())
    pairs = MapStateDescriptor("m", Types.STRING(), Types.LONG())
    for descriptor in (value, items, pairs):
        descriptor.enable_time_to_live(config)
    table = pa.table({"k": ["a", "b", "b"], "n": [1, 2, 3], "t": ["x", "y", "z"]})
    path = (
        writer()
        .with_keyed_state("op", value, table.slice(0, 2), key="k", value="n")
        .with_keyed_state("op", items, table, key="k", value="n")
        .with_keyed_state("op", pairs, table, key="k", value=["t", "n"])
        .write(str(tmp_path / "sp"))
    )
    assert entries(path, "op", value) == {"a": (5000, 1), "b": (5000, 2)}
    assert entries(path, "op", items) == {"a": [(5000, 1)], "b": [(5000, 2), (5000, 3)]}
    assert entries(path, "op", pairs) == {"a": {"x": (5000, 1)}, "b": {"y": (5000, 2), "z": (5000, 3)}}


def test_much_state_is_cut_by_key_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savepoint_writer, "_ROWS_OF_A_SUBTASK", 100)
    monkeypatch.setattr(savepoint_writer, "_INLINE_BYTES", 0)
    table = pa.table({"k": range(450), "v": range(450)})
    path = writer().with_keyed_state("op", TOTAL, table, key="k").write(str(tmp_path / "sp"))
    operator = open_checkpoint(path).operators[0]
    assert operator.parallelism == 5
    assert sum(file.rows for s in operator.subtasks for k in s.keyed for file in k.files) == 450
    assert entries(path, "op", TOTAL) == of(list(range(450)), list(range(450)))


def first(tmp_path: Path) -> str:
    table = pa.table({"k": ["a", "b"], "v": [1, 2]})
    rules = MapStateDescriptor("rules", Types.STRING(), Types.LONG())
    return (
        writer()
        .with_keyed_state("one", TOTAL, table, key="k")
        .with_keyed_state("two", TOTAL, table, key="k")
        .with_broadcast_state("two", rules, {"x": 1})
        .write(str(tmp_path / "first"))
    )


def test_a_copy_stands_alone_and_can_be_changed(tmp_path: Path) -> None:
    old = first(tmp_path)
    text = ValueStateDescriptor("total", Types.STRING())
    table = SavepointReader.read(old).read_keyed_state("one", "total")
    converted = table.set_column(1, "value", table["value"].cast(pa.string()))
    new = (
        SavepointWriter.from_existing_savepoint(old)
        .remove_state("one", "total")
        .with_keyed_state("one", text, converted, key="key")
        .with_keyed_state("one", ValueStateDescriptor("more", Types.LONG()), table, key="key")
        .change_operator_identifier("two", OperatorIdentifier.for_uid("renamed"))
        .with_keyed_state("three", TOTAL, table, key="key")
        .write(str(tmp_path / "second"))
    )
    for name in os.listdir(old):
        os.unlink(os.path.join(old, name))
    assert entries(new, "one", text) == {"a": "1", "b": "2"}
    assert entries(new, "one", ValueStateDescriptor("more", Types.LONG())) == {"a": 1, "b": 2}
    assert entries(new, "renamed", TOTAL) == {"a": 1, "b": 2}
    assert entries(new, "three", TOTAL) == {"a": 1, "b": 2}
    reader = SavepointReader.read(new)
    assert reader.read_broadcast_state("renamed", "rules") == {"x": 1}
    assert [str(info.identifier) for info in reader.operators()] == ["uid 'one'", "uid 'renamed'", "uid 'three'"]
    assert [state.name for state in reader.operators()[0].keyed_states] == ["total", "more"]
    gone = SavepointWriter.from_existing_savepoint(new).remove_operator("one").write(str(tmp_path / "third"))
    assert [info.identifier.uid for info in SavepointReader.read(gone).operators()] == ["renamed", "three"]


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    twice = pa.table({"k": ["a", "a"], "v": [1, 2]})
    with pytest.raises(UsageError, match="key 'a' occurs more than once"):
        writer().with_keyed_state("op", TOTAL, twice, key="k")
    with pytest.raises(UsageError, match=r"no column \['x'\]"):
        writer().with_keyed_state("op", TOTAL, twice, key="x")
    with pytest.raises(UsageError, match="needs a value"):
        writer().with_keyed_state("op", TOTAL, twice, key=["k", "v"])
    with pytest.raises(TypeMismatchError, match=r"state 'total', column \['v'\]"):
        writer().with_keyed_state("op", TOTAL, pa.table({"k": ["a"], "v": ["no number"]}), key="k")
    with pytest.raises(UsageError, match="Arrow columns"):
        writer().with_keyed_state("op", TOTAL, object(), key="k")
    with pytest.raises(UsageError, match="max_parallelism"):
        SavepointWriter.new_savepoint(0)
    with pytest.raises(UsageError, match="32 hexadecimal digits"):
        OperatorIdentifier.for_uid_hash("xyz")
    one = writer().with_keyed_state("op", TOTAL, twice.slice(0, 1), key="k")
    with pytest.raises(UsageError, match="remove it first"):
        one.with_keyed_state("op", TOTAL, twice.slice(0, 1), key="k")
    for wrong in (lambda: one.remove_operator("none"), lambda: one.remove_state("none", "x")):
        with pytest.raises(UsageError, match="it has: uid 'op'"):
            wrong()
    with pytest.raises(UsageError, match="no keyed state 'x'; it has: total"):
        one.remove_state("op", "x")
    with pytest.raises(UsageError, match="already"):
        one.change_operator_identifier("op", "op")


def test_nothing_is_written_over_or_left_behind(tmp_path: Path) -> None:
    path = first(tmp_path)
    with pytest.raises(CheckpointError, match="not empty"):
        writer().write(path)
    broken = SavepointWriter.from_existing_savepoint(path)
    Path(tmp_path / "in the way").write_text("")
    with pytest.raises(CheckpointError, match="in the way"):
        broken.write(str(tmp_path / "in the way" / "sp"))
    assert (tmp_path / "in the way").read_text() == ""
    reader = SavepointReader.read(path)
    for wrong in (
        lambda: reader.read_keyed_state("none", "x"),
        lambda: reader.read_broadcast_state("two", "none"),
        lambda: reader.read_list_state("one", "none"),
    ):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(CheckpointError, match="no keyed state 'x'"):
        reader.read_keyed_state("one", "x")
    damaged = Path(path, "_metadata")
    damaged.write_bytes(damaged.read_bytes().replace(b'"inline": "QVJ', b'"inline": "QVK'))
    with pytest.raises(CheckpointError, match="damaged"):
        SavepointWriter.from_existing_savepoint(path)


class Folding(KeyedStateBootstrapFunction):
    """Several rows into one entry, and a timer for each key."""

    def open(self, runtime_context: Any) -> None:
        self.total = runtime_context.get_state(TOTAL)

    def process_element(self, value: Any, ctx: Any) -> None:
        if value.n < 0:
            raise ValueError("negative")
        self.total.update((self.total.value() or 0) + value.n)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)


@pytest.mark.parametrize("by", ["column", "function"])
def test_a_function_folds_rows_and_sets_timers(tmp_path: Path, by: str) -> None:
    table = pa.table({"k": ["a", "b", "a"], "n": [1, 2, 3], "t": pa.array([5, 6, 7], pa.timestamp("ms"))})
    rows = OperatorTransformation.bootstrap_with(table).assign_timestamps("t")
    keyed = rows.key_by("k") if by == "column" else rows.key_by(lambda row: row.k)
    path = writer().with_operator("op", keyed.transform(Folding())).write(str(tmp_path / "sp"))
    assert entries(path, "op", TOTAL) == of(["a", "b"], [4, 2])
    timers = SavepointReader.read(path).read_keyed_state("op", "_event_timers").to_pylist()
    assert sorted((timer["key"], timer["timestamp"]) for timer in timers) == [("a", 15), ("a", 17), ("b", 16)]


def test_what_a_function_cannot_do_is_said() -> None:
    rows = OperatorTransformation.bootstrap_with(pa.table({"k": ["a"], "n": [-1], "t": [0]}))
    for wrong in (
        lambda: rows.key_by("x"),
        lambda: rows.key_by(),
        lambda: rows.transform(Folding()),
        lambda: rows.key_by("k").transform(len),
        lambda: rows.assign_timestamps("x"),
    ):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(UserFunctionError, match="negative"):
        writer().with_operator("op", rows.key_by("k").transform(Folding()))
    good = OperatorTransformation.bootstrap_with(pa.table({"k": ["a"], "n": [1], "t": [0]}))
    made = good.assign_timestamps("t").key_by("k").transform(Folding())
    once = writer().with_operator("op", made)
    with pytest.raises(UsageError, match="already"):
        once.with_operator("op", made)


def test_list_state_without_key_is_dealt_out(tmp_path: Path) -> None:
    offsets = ListStateDescriptor("offsets", Types.LONG())
    path = writer().with_list_state("op", offsets, range(5)).write(str(tmp_path / "first"))
    path = SavepointWriter.from_existing_savepoint(path).with_list_state("op", offsets, [5]).write(str(tmp_path / "sp"))
    assert SavepointReader.read(path).read_list_state("op", "offsets") == [0, 1, 2, 3, 4, 5]
    manifest, operator_id = open_checkpoint(path), OperatorIdentifier.for_uid("op").operator_id
    dealt = [
        restored_state(manifest, path, operator_id, i, 2, range_of(i, GROUPS, 2), GROUPS).operator_state["offsets"]
        for i in range(2)
    ]
    assert [part.elements for part in dealt] == [[0, 2, 4], [1, 3, 5]]


def test_list_state_is_dealt_out_among_as_many_subtasks_as_the_rows_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(savepoint_writer, "_ROWS_OF_A_SUBTASK", 2)
    offsets = ListStateDescriptor("offsets", Types.LONG())
    table = pa.table({"k": range(4), "value": range(4)})
    made = writer().with_keyed_state("op", TOTAL, table, key="k").with_list_state("op", offsets, range(5))
    path = made.write(str(tmp_path / "sp"))
    manifest, operator_id = open_checkpoint(path), OperatorIdentifier.for_uid("op").operator_id
    assert manifest.operators[0].parallelism == 3
    dealt = [
        restored_state(manifest, path, operator_id, i, 3, range_of(i, GROUPS, 3), GROUPS).operator_state["offsets"]
        for i in range(3)
    ]
    assert [part.elements for part in dealt] == [[0, 3], [1, 4], [2]]
