"""Keyed state as one table, for every writer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from shmflink.checkpoint.handles import CheckpointLocation, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.keyed_tables import is_pickled, keyed_state_infos, keyed_table, readable
from shmflink.checkpoint.manifest import OperatorState
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.core.elements import Barrier
from shmflink.core.keys.columns import canonical_column, encode_keys
from shmflink.errors import CheckpointCorruptedError, CheckpointError
from shmflink.expressions import AggregateCall, col
from shmflink.operators.aggregates.group import AggregateSpec, GlobalAggregateOperator
from shmflink.testing import OperatorHarness

GROUPS = 8
OPERATOR = "0a" * 16


@dataclass
class Written:
    """A state file to be."""

    rows: list[pa.RecordBatch]
    is_delta: bool = False
    name: str = "state"
    outcomes: list[bool] = field(default_factory=list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        return iter(self.rows)

    def saved(self, is_saved: bool) -> None:
        self.outcomes.append(is_saved)


def batch(entry: list[str], **columns: Any) -> pa.RecordBatch:
    arrays = {name: value if isinstance(value, pa.Array) else pa.array(value) for name, value in columns.items()}
    arrays["key_group"] = arrays["key_group"].cast(pa.int32())
    metadata = {"shmflink": orjson.dumps({"kind": "test", "type": "", "entry": entry})}
    return pa.record_batch(arrays).replace_schema_metadata(metadata)


def operator_of(directory: Path, *chains: list[Any], inline: int = 0) -> OperatorState:
    writer = StateFileWriter(CheckpointLocation(str(directory), "", inline), 1, 1)
    subtasks = []
    for number, chain in enumerate(chains):
        files: list[StateFile] = [writer.write_keyed(OPERATOR, number, snapshot, False) for snapshot in chain]
        handle = KeyedStateHandle("state", 0, GROUPS - 1, tuple(files))
        subtasks.append(OperatorSubtaskState(OPERATOR, number, (handle,)))
    return OperatorState(OPERATOR, "uid", "Name", 0, len(chains), GROUPS, tuple(subtasks))


def test_later_rows_replace_earlier_ones_by_all_entry_columns(tmp_path: Path) -> None:
    entry = ["k", "start"]
    full = batch(entry, key_group=[0, 0, 1, 2], k=["a", "a", None, "c"], start=[1, 2, 1, 1], v=[1, 2, 3, 4])
    first = batch(entry, key_group=[0, 1], k=["a", None], start=[2, 1], v=[20, 30], deleted=[False, False])
    second = batch(entry, key_group=[0, 2], k=["b", "c"], start=[1, 1], v=[50, None], deleted=[False, True])
    third = batch(entry, key_group=[1], k=[None], start=[1], v=[None], deleted=[True])
    fourth = batch(entry, key_group=[1], k=[None], start=[1], v=[300], deleted=[False])
    chain = [Written([full]), *(Written([one], is_delta=True) for one in (first, second, third, fourth))]
    table = keyed_table(str(tmp_path), operator_of(tmp_path, chain), "state")
    assert table.column_names == ["key_group", "k", "start", "v"]
    rows = [(row["key_group"], row["k"], row["start"], row["v"]) for row in table.to_pylist()]
    assert sorted(rows, key=repr) == [(0, "a", 1, 1), (0, "a", 2, 20), (0, "b", 1, 50), (1, None, 1, 300)]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert readable(table).column_names == ["k", "start", "v"]


def test_an_aggregate_without_keys_has_one_entry(tmp_path: Path) -> None:
    chain = [
        Written([batch([], key_group=[0], n=[1])]),
        Written([batch([], key_group=[0], n=[2], deleted=[False])], is_delta=True),
    ]
    assert keyed_table(str(tmp_path), operator_of(tmp_path, chain), "state").to_pylist() == [{"key_group": 0, "n": 2}]
    gone = [*chain, Written([batch([], key_group=[0], n=[2], deleted=[True])], is_delta=True)]
    assert keyed_table(str(tmp_path), operator_of(tmp_path, gone), "state").num_rows == 0


def test_key_columns_of_several_types_become_one(tmp_path: Path) -> None:
    """A state whose keys were all texts at first, and then were not."""
    marker = {b"shmflink.key": b"canonical"}
    canonical = canonical_column(encode_keys(["a", 1])).cast(pa.binary())
    late = batch(["key"], key_group=[0, 1], key=canonical, value=[10, 20], deleted=[False, False])
    late = late.cast(late.schema.set(1, late.schema.field(1).with_metadata(marker)))
    early = batch(["key"], key_group=[0, 2], key=["a", "b"], value=[1, 2])
    table = keyed_table(str(tmp_path), operator_of(tmp_path, [Written([early]), Written([late], True)]), "state")
    about = {"kind": "value", "type": "", "entry": ["key"], "shape": "i64"}
    shown = readable(table.replace_schema_metadata({"shmflink": orjson.dumps(about)}))
    found = {row["key"]: row["value"] for row in shown.to_pylist()}
    assert found == {"a": 10, "1": 20, "b": 2}


def test_native_aggregates_are_read_by_the_same_rule(tmp_path: Path) -> None:
    schema = pa.schema([("word", pa.string()), ("n", pa.int64())])
    calls = (("total", AggregateCall("sum", (col("n"),))), ("rows", AggregateCall("count", (col("n"),))))
    spec = AggregateSpec(schema, (("word", col("word")),), calls)
    writer = StateFileWriter(CheckpointLocation(str(tmp_path), "", 0), 1, 1)
    files, deltas = [], []
    with OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), max_parallelism=GROUPS) as harness:
        for number, words in enumerate(("abcdefgh", "a", "bz")):
            harness.process_batch(pa.record_batch({"word": list(words), "n": range(1, len(words) + 1)}, schema=schema))
            (snapshot,) = harness.operator.snapshot_state(Barrier(number, 0)).keyed
            deltas.append(snapshot.is_delta)
            files.append(writer.write_keyed(OPERATOR, 0, snapshot, False))
            snapshot.saved(True)
    assert deltas == [False, True, True]
    handle = KeyedStateHandle(snapshot.name, 0, GROUPS - 1, tuple(files))
    state = OperatorSubtaskState(OPERATOR, 0, (handle,))
    operator = OperatorState(OPERATOR, "uid", "Name", 0, 1, GROUPS, (state,))
    table = readable(keyed_table(str(tmp_path), operator, snapshot.name))
    totals = {row.pop("word"): tuple(row.values()) for row in table.to_pylist()}
    expected = {word: n for n, word in enumerate("abcdefgh", 1)} | {"a": 2, "b": 3, "z": 2}
    assert {word: values[0] for word, values in totals.items()} == expected
    assert keyed_state_infos(str(tmp_path), operator)[0].kind == "aggregate"


def test_what_is_not_there(tmp_path: Path) -> None:
    empty = operator_of(tmp_path, [Written([])])
    assert keyed_table(str(tmp_path), empty, "state").num_rows == 0
    (info,) = keyed_state_infos(str(tmp_path), empty)
    assert (info.name, info.kind, info.rows, info.files) == ("state", "", 0, 0)
    assert not is_pickled(keyed_table(str(tmp_path), empty, "state"))
    with pytest.raises(CheckpointError, match=r"'other' in .*; it has 'state'"):
        keyed_table(str(tmp_path), empty, "other")
    operator = operator_of(tmp_path, [Written([batch(["k"], key_group=[0], k=["a"])])])
    (tmp_path / operator.subtasks[0].keyed[0].files[0].path).write_bytes(b"ARROW1 no more")
    with pytest.raises(CheckpointCorruptedError):
        keyed_state_infos(str(tmp_path), operator)


def test_a_thousand_small_states_are_no_files(tmp_path: Path) -> None:
    """[C18] They stand in the manifest: inodes do not run out."""
    rows = [Written([batch(["k"], key_group=[0], k=["a"])])]
    operator = operator_of(tmp_path, *([rows] * 1000), inline=20 * 1024)
    assert list(tmp_path.iterdir()) == []
    assert keyed_table(str(tmp_path), operator, "state").num_rows == 1000
