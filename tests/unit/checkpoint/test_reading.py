"""What subtasks restore from a checkpoint: by key group, with another parallelism; clear errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.checkpoint.handles import ChannelState, CheckpointLocation, OperatorSubtaskState, StateFile
from shmflink.checkpoint.in_flight import ChannelRouting, InputRoute, channel_elements
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest, OperatorState
from shmflink.checkpoint.reading import checkpoint_directory, open_checkpoint, read_file, restored_state
from shmflink.checkpoint.state_files import StateFileWriter, created_at, dumps_elements, loads_elements
from shmflink.checkpoint.storage import CheckpointStorage
from shmflink.core.batch import Batch
from shmflink.core.elements import BARRIER_UNALIGNED, Barrier, EndOfData, Watermark, WatermarkStatus
from shmflink.core.keys.columns import encode_keys
from shmflink.core.keys.groups import key_groups, range_of
from shmflink.errors import CheckpointError, StateMismatchError
from shmflink.state.operator_state import OperatorStatePart, Redistribution

from .conftest import GROUPS, JOB_ID, OPERATOR, Keyed, SmallJob

SOURCE = "ef" * 16


@pytest.fixture
def path(directory: str) -> str:
    with CheckpointStorage(directory, JOB_ID) as storage:
        job = SmallJob(storage)
        job.checkpoint(1)
        return job.checkpoint(2)


@pytest.mark.parametrize("parallelism", [1, 2, 3, 5, 8])
def test_every_subtask_gets_its_key_groups(path: str, parallelism: int) -> None:
    """[C21] All entries once, changes behind them."""
    manifest, found = open_checkpoint(path), []
    for subtask in range(parallelism):
        groups = range_of(subtask, GROUPS, parallelism)
        state = restored_state(manifest, path, OPERATOR, subtask, parallelism, groups, GROUPS)
        assert (state.checkpoint_id, state.is_restored, state.keyed_names) == (2, True, ("count",))
        batches = list(state.read_keyed("count"))
        assert ["deleted" in batch.schema.names for batch in batches] == sorted(
            "deleted" in batch.schema.names for batch in batches
        )
        assert {group for batch in batches for group in batch["key_group"].to_pylist()} <= set(groups)
        found += [batch.to_pylist() for batch in batches]
        assert list(state.read_keyed("unknown")) == []
        assert state.broadcast_state == {"rules": {"a": 2}}
    entries = [row["key_group"] for rows in found for row in rows if "deleted" not in row]
    assert sorted(entries) == list(range(GROUPS))
    assert sorted(row["key_group"] for rows in found for row in rows if "deleted" in row) == [3, 7]


def test_files_of_other_key_groups_are_never_opened(path: str) -> None:
    manifest = open_checkpoint(path)
    for file in manifest.operators[0].subtasks[1].keyed[0].files:
        os.unlink(os.path.join(path, file.path))
    state = restored_state(manifest, path, OPERATOR, 0, 2, range(4), GROUPS)
    assert sum(batch.num_rows for batch in state.read_keyed("count")) == 5


def test_operator_state_is_dealt_out_anew(path: str) -> None:
    manifest = open_checkpoint(path)
    states = [restored_state(manifest, path, OPERATOR, i, 3, range_of(i, GROUPS, 3), GROUPS) for i in range(3)]
    dealt = [state.operator_state["offsets"].elements for state in states]
    assert sorted(element for elements in dealt for element in elements) == [0, 1, 2, 2]
    assert max(map(len, dealt)) == 2


def test_an_operator_that_the_checkpoint_does_not_know_begins_anew(path: str) -> None:
    state = restored_state(open_checkpoint(path), path, SOURCE, 0, 1, range(GROUPS), GROUPS)
    assert not state.is_restored


def test_another_maximum_parallelism_is_refused(path: str) -> None:
    """[G4] Both numbers, and what to set."""
    with pytest.raises(StateMismatchError, match=r"of 8, but the job has 128.*set_max_parallelism\(8\)"):
        restored_state(open_checkpoint(path), path, OPERATOR, 0, 1, range(128), 128)


class Movable:
    """A class that is gone when its values are unpickled."""


def test_a_value_whose_class_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[C22] Operator, file and class."""
    import sys

    module = type(sys)("a_module_that_moves")
    module.Movable = Movable  # type: ignore[attr-defined]
    monkeypatch.setattr(Movable, "__module__", "a_module_that_moves")
    monkeypatch.setitem(sys.modules, "a_module_that_moves", module)
    writer = StateFileWriter(CheckpointLocation(str(tmp_path), "", 4096), 1, 1)
    part = OperatorStatePart(Redistribution.UNION, [Movable()], "x")
    file = writer.write_value(OPERATOR, 0, "operator", {"s": part})
    assert file.inline
    assert list(tmp_path.iterdir()) == []
    operator = OperatorState(
        OPERATOR, "my uid", "Map", 0, 1, 8, (OperatorSubtaskState(OPERATOR, 0, operator_state=file),)
    )
    manifest = Manifest(1, JOB_ID, "j", 0, CHECKPOINT, (operator,))
    monkeypatch.delitem(sys.modules, "a_module_that_moves")
    with pytest.raises(StateMismatchError, match=r"operator 'Map' \(my uid\).*a_module_that_moves"):
        restored_state(manifest, str(tmp_path), OPERATOR, 0, 1, range(8), 8)


def test_a_path_may_be_written_in_many_ways(path: str, tmp_path: Path) -> None:
    for text in (path, f"{path}/", f"{path}/_metadata", f"file://{path}", f"file:{path}", os.path.relpath(path)):
        assert checkpoint_directory(text) == path
    with pytest.raises(CheckpointError, match="does not exist"):
        open_checkpoint(str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"Did you mean .*chk-2\?"):
        open_checkpoint(os.path.dirname(path))
    (tmp_path / "chk-9").mkdir()
    with pytest.raises(CheckpointError, match="never completed"):
        open_checkpoint(str(tmp_path / "chk-9"))


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
def test_state_files_are_plain_arrow_files(tmp_path: Path, compression: str) -> None:
    writer = StateFileWriter(CheckpointLocation(str(tmp_path), "", 0, compression), 3, 14)
    file = writer.write_keyed(OPERATOR, 0, Keyed(range(8), 1), True)
    assert (file.rows, created_at(file.path), writer.bytes_written) == (8, 14, file.length)
    assert not file.path.startswith("..")
    with pa.memory_map(str(tmp_path / file.path)) as mapped:
        assert pa.ipc.open_file(mapped).read_all()["value"].to_pylist() == [1] * 8
    assert read_file(str(tmp_path), file).size == file.length

    class Empty(Keyed):
        def batches(self) -> Any:
            return iter(())

    empty = writer.write_keyed(OPERATOR, 0, Empty(range(8), 1), True)
    assert (empty.length, empty.rows, empty.inline) == (0, 0, b"")
    assert read_file(str(tmp_path), empty).size == 0
    assert created_at("../shared/of-somebody-else.arrow") is None


def test_elements_of_a_channel_come_back() -> None:
    keyed = Batch.of_rows(["a", "b"], keys=encode_keys(["a", "b"]), timestamps=pa.array([1, None], pa.int64()))
    columns = Batch.of_columns(pa.record_batch({"x": [1.5, None]}))
    controls = [Watermark(5), WatermarkStatus(True), EndOfData(False), Barrier(3, 4, BARRIER_UNALIGNED)]
    back = loads_elements(dumps_elements([keyed, *controls, columns]))
    assert back[1:-1] == controls
    first, last = back[0], back[-1]
    assert isinstance(first, Batch)
    assert isinstance(last, Batch)
    assert first.rows() == ["a", "b"]
    assert first.keys.to_pylist() == ["a", "b"]
    assert first.timestamps.to_pylist() == [1, None]
    assert last.columns().equals(columns.columns())


def in_flight(tmp_path: Path, per_subtask: list[list[Any]]) -> tuple[Manifest, str]:
    writer = StateFileWriter(CheckpointLocation(str(tmp_path), "", 0), 1, 1)
    states = []
    for subtask, elements in enumerate(per_subtask):
        file: StateFile = writer.write_batches(OPERATOR, subtask, elements)
        states.append(OperatorSubtaskState(OPERATOR, subtask, channels=(ChannelState(4, 0, file),)))
    operator = OperatorState(OPERATOR, None, "m", 1, len(states), GROUPS, tuple(states))
    return Manifest(1, JOB_ID, "j", 0, CHECKPOINT, (operator,), is_unaligned=True), str(tmp_path)


@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("parallelism", [1, 3, 4])
def test_rows_under_way_go_to_the_owners_of_their_keys(tmp_path: Path, by_column: bool, parallelism: int) -> None:
    """[C21] Rescaled from an unaligned checkpoint: each row once, at the subtask that has its key's state."""
    names = [f"k{i}" for i in range(40)]
    batches = []
    for part in (names[:20], names[20:]):
        if by_column:
            batches.append(Batch.of_columns(pa.record_batch({"n": part, "v": range(20)})))
        else:
            batches.append(Batch.of_rows(part, keys=encode_keys(part)))
    manifest, path = in_flight(tmp_path, [[batches[0], Watermark(1)], [batches[1]]])
    routes = {4: InputRoute(ChannelRouting.KEYED, ("n",) if by_column else ())}
    found = []
    for subtask in range(parallelism):
        groups = range_of(subtask, GROUPS, parallelism)
        for channel in channel_elements(manifest, path, OPERATOR, subtask, parallelism, groups, GROUPS, routes):
            for element in channel.elements:
                assert isinstance(element, Batch)
                rows = element.columns()["n"].to_pylist() if by_column else element.rows()
                assert set(key_groups(encode_keys(rows), GROUPS)) <= set(groups)
                assert by_column or element.keys.to_pylist() == rows
                found += rows
    assert sorted(found) == sorted(names)


def test_broadcast_rows_under_way_go_along_with_the_broadcast_state(tmp_path: Path) -> None:
    manifest, path = in_flight(tmp_path, [[Batch.of_rows(["x", "y"])], [Batch.of_rows(["y"])]])
    routes = {4: InputRoute(ChannelRouting.BROADCAST)}
    got = [
        [
            e.rows()
            for c in channel_elements(manifest, path, OPERATOR, i, 3, range(0), GROUPS, routes)
            for e in c.elements
        ]  # type: ignore[union-attr]
        for i in range(3)
    ]
    assert got == [[["x", "y"]], [["y"]], [["x", "y"]]]


def test_other_rows_under_way_go_to_some_subtask_once(tmp_path: Path) -> None:
    manifest, path = in_flight(tmp_path, [[Batch.of_rows([i]), Watermark(i)] for i in range(5)])
    for parallelism in (1, 2, 5, 7):
        found = [
            element
            for subtask in range(parallelism)
            for c in channel_elements(manifest, path, OPERATOR, subtask, parallelism, range(0), GROUPS, {})
            for element in c.elements
        ]
        rows = [row for element in found if isinstance(element, Batch) for row in element.rows()]
        assert sorted(rows) == list(range(5))
        assert len(found) == (10 if parallelism == 5 else 5)
    assert channel_elements(manifest, path, SOURCE, 0, 1, range(0), GROUPS, {}) == []


def test_control_elements_of_other_producers_are_left_out(tmp_path: Path) -> None:
    """[T8] A watermark of a channel that is no more must not make rows late that come on its successor."""
    manifest, path = in_flight(tmp_path, [[Batch.of_rows([1]), Watermark(9)]])
    for has_others, count in ((False, 2), (True, 1)):
        routes = {4: InputRoute(ChannelRouting.KEYED, (), has_others)}
        channels = channel_elements(manifest, path, OPERATOR, 0, 1, range(GROUPS), GROUPS, routes)
        assert [len(channel.elements) for channel in channels] == [count]
