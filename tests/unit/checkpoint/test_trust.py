"""Savepoints that others wrote, or may write to: what is loaded, what is refused, and the error messages."""

from __future__ import annotations

import os
import pickle
import shutil
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from shmflink.checkpoint import trust
from shmflink.checkpoint.handles import StateFile
from shmflink.checkpoint.in_flight import check_without_pickle
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.reading import coordinator_state, load_manifest, read_file, restored_state, verify_checkpoint
from shmflink.checkpoint.state_files import dumps_elements
from shmflink.checkpoint.storage import CheckpointStorage, write_manifest
from shmflink.connectors.base import Split
from shmflink.connectors.file_system.reading.discovery import DiscoveryState
from shmflink.connectors.split_queue import PackedSplits
from shmflink.core.batch import Batch
from shmflink.core.serialization.codec import dumps_state, loads_state
from shmflink.errors import CheckpointCorruptedError, CheckpointError, CheckpointRefusedError, StateMismatchError
from shmflink.state.operator_state import OperatorStatePart, Redistribution

from .conftest import GROUPS, JOB_ID, OPERATOR, Keyed, SmallJob, everything_in, expected_of

RAN: list[str] = []


def run() -> str:
    RAN.append("ran")
    return "ran"


class Code:
    """Whoever unpickles it runs it."""

    def __reduce__(self) -> Any:
        return run, ()


@dataclass(frozen=True)
class Mine:
    n: int


@pytest.fixture
def path(directory: str) -> str:
    with CheckpointStorage(directory, JOB_ID) as storage:
        return SmallJob(storage).checkpoint(1)


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is on this disk is another user's."""
    monkeypatch.setattr(trust.os, "geteuid", lambda: os.getuid() + 4711)


def restore(path: str, *, allows_pickle: bool | None = None) -> Any:
    state = restored_state(
        load_manifest(path), path, OPERATOR, 0, 1, range(GROUPS), GROUPS, allows_pickle=allows_pickle
    )
    return state, [batch.to_pylist() for batch in state.read_keyed("count")]


def with_first_subtask(path: str, **changes: Any) -> Manifest:
    """The checkpoint with another state in its first subtask."""
    manifest = load_manifest(path)
    (operator,) = manifest.operators
    first, *others = operator.subtasks
    operator = replace(operator, subtasks=(replace(first, **changes), *others))
    manifest = replace(manifest, operators=(operator,))
    os.unlink(f"{path}/_metadata")
    write_manifest(path, manifest)
    return manifest


def inline(data: bytes) -> StateFile:
    return StateFile("value", len(data), zlib.crc32(data), 0, data)


@pytest.mark.usefixtures("foreign")
def test_state_without_pickle_is_read_whoever_wrote_it(path: str) -> None:
    assert everything_in(path) == expected_of(1, 1)
    check_without_pickle(path, load_manifest(path))


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("what", ["operator_state", "broadcast_state"])
def test_a_value_that_is_pickled_runs_nothing_unless_asked_for(path: str, what: str) -> None:
    RAN.clear()
    manifest = with_first_subtask(path, **{what: inline(pickle.dumps({"x": {1: Code()}}))})
    says = r"belongs to user \d+, but user \d+ runs this.* state of operator 'Count' is pickled.*--trust-pickled-state"
    with pytest.raises(CheckpointError, match=says):
        restore(path)
    with pytest.raises(CheckpointError, match=says):
        check_without_pickle(path, manifest)
    assert RAN == []
    if what == "broadcast_state":
        restore(path, allows_pickle=True)
        assert RAN == ["ran"]


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("is_older", [False, True])
def test_an_enumerators_state_that_is_pickled_is_refused(path: str, is_older: bool) -> None:
    """Older releases pickled the bytes once more; a value in plain form may hold pickled bytes, too."""
    inner = pickle.dumps((Code(),))
    data = pickle.dumps(inner) if is_older else dumps_state(inner)
    manifest = load_manifest(path)
    operator = replace(manifest.operators[0], coordinator=inline(data))
    RAN.clear()
    with pytest.raises(CheckpointError, match=r"state of .*'Count' is pickled"):
        coordinator_state(path, operator)
    with pytest.raises(CheckpointError, match="is pickled"):
        check_without_pickle(path, replace(manifest, operators=(operator,)))
    assert RAN == []
    assert coordinator_state(path, operator, allows_pickle=True) == inner


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("where", ["keyed", "channel", "channel as a whole"])
def test_rows_that_may_be_pickled_are_refused(directory: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def pickled(self: Keyed) -> Any:
        groups = list(self.groups)
        yield pa.record_batch(
            {"key_group": pa.array(groups, pa.int32()), "value": [pickle.dumps(Code())] * len(groups)}
        )

    with CheckpointStorage(directory, JOB_ID) as storage:
        job = SmallJob(storage)
        if where == "keyed":
            monkeypatch.setattr(Keyed, "batches", pickled)
        path = job.checkpoint(1)
    if where != "keyed":
        (channel,) = load_manifest(path).operators[0].subtasks[0].channels
        mixed = Batch.of_rows([Mine(1), "x"])
        data = dumps_elements([mixed]) if where == "channel" else pickle.dumps([Code()])
        with_first_subtask(path, channels=(replace(channel, file=inline(data)),))
    RAN.clear()
    with pytest.raises(CheckpointRefusedError, match="is pickled: loading it runs code"):
        check_without_pickle(path, load_manifest(path))
    assert RAN == []
    if where == "keyed":
        with pytest.raises(CheckpointRefusedError, match="keyed state of operator 'Count' is pickled"):
            restore(path)
        assert len(restore(path, allows_pickle=True)[1]) == 2


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("is_pickled", [False, True])
def test_rows_within_a_value_are_looked_at(path: str, is_pickled: bool) -> None:
    """A source keeps rows that it has read beside its positions."""
    rows = dumps_elements([Batch.of_rows([Code(), "x"] if is_pickled else [1, 2])])
    state = {"splits": OperatorStatePart(Redistribution.SPLIT_DISTRIBUTE, [(Split("0", 7), rows)], "x")}
    with_first_subtask(path, operator_state=inline(dumps_state(state)))
    RAN.clear()
    if is_pickled:
        with pytest.raises(CheckpointRefusedError, match="a row in the state of operator 'Count' is pickled"):
            restore(path)
    else:
        restore(path)
    assert RAN == []


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("state", [DiscoveryState(PackedSplits((), (), ()), b"\x01" * 16, 1, True), 5, [b"x"], (1, ())])
def test_an_enumerators_state_in_plain_form_is_read_whoever_wrote_it(path: str, state: Any) -> None:
    operator = replace(load_manifest(path).operators[0], coordinator=inline(dumps_state(dumps_state(state))))
    found = coordinator_state(path, operator)
    assert loads_state(found) == state


@pytest.mark.parametrize("what", ["operator_state", "broadcast_state"])
@pytest.mark.parametrize("value", [None, 5, [1], {"x": 5}, {1: {}}, "text"], ids=repr)
def test_a_value_that_is_no_state_is_refused(path: str, what: str, value: Any) -> None:
    with_first_subtask(path, **{what: inline(dumps_state(value))})
    with pytest.raises(StateMismatchError, match="not states by name: another program wrote it"):
        restore(path)


def test_ones_own_is_unpickled_without_a_word(path: str) -> None:
    """Also what an older release wrote."""
    with_first_subtask(path, broadcast_state=inline(pickle.dumps({"rules": {"a": Mine(1)}})))
    assert restore(path)[0].broadcast_state == {"rules": {"a": Mine(1)}}


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
@pytest.mark.parametrize("what", ["folder", "shared", "_metadata", "a file", "a shared file"])
def test_what_others_may_write_to_is_refused(path: str, what: str, mode: int) -> None:
    manifest = load_manifest(path)
    subtask = manifest.operators[0].subtasks[0]
    names = {"folder": "", "shared": "../shared", "_metadata": "_metadata", "a file": subtask.operator_state.path,
             "a shared file": subtask.keyed[0].files[0].path}  # fmt: skip
    os.chmod(os.path.join(path, names[what]), mode)
    with pytest.raises(CheckpointError, match=r"is writable by others.*chmod go-w"):
        verify_checkpoint(path, load_manifest(path))


@pytest.mark.parametrize("what", ["shared", "_metadata", "a file", "a shared file"])
def test_links_are_not_followed(path: str, what: str, tmp_path: Path) -> None:
    subtask = load_manifest(path).operators[0].subtasks[0]
    names = {"shared": "../shared", "_metadata": "_metadata", "a file": subtask.operator_state.path,
             "a shared file": subtask.keyed[0].files[0].path}  # fmt: skip
    place = os.path.normpath(os.path.join(path, names[what]))
    os.rename(place, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", place)
    with pytest.raises(CheckpointError, match=r"is a symbolic link|is not a folder"):
        verify_checkpoint(path, load_manifest(path))


def test_a_link_to_the_whole_folder_is_the_users_own_choice(path: str, tmp_path: Path) -> None:
    os.symlink(path, tmp_path / "latest")
    assert load_manifest(str(tmp_path / "latest")).checkpoint_id == 1


def test_a_pipe_is_no_file_and_nobody_waits_for_it(path: str) -> None:
    file = load_manifest(path).operators[0].subtasks[0].operator_state
    os.unlink(f"{path}/{file.path}")
    os.mkfifo(f"{path}/{file.path}", 0o600)
    with pytest.raises((CheckpointError, CheckpointCorruptedError)):
        read_file(path, replace(file, length=0, inline=b"") if not file.length else file)
    os.unlink(f"{path}/_metadata")
    os.mkfifo(f"{path}/_metadata", 0o600)
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_manifest(path)


def test_a_manifest_that_leads_elsewhere_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    document = orjson.loads(Path(path, "_metadata").read_bytes())
    document["content"]["operators"][0]["subtasks"][0]["operator_state"]["path"] = "../../../secret"
    document["crc32"] = f"{zlib.crc32(orjson.dumps(document['content'])):08x}"
    Path(path, "_metadata").write_bytes(orjson.dumps(document))
    with pytest.raises(CheckpointError, match=r"not a file in the checkpoint's folder or ../shared"):
        load_manifest(path)


def test_claiming_deletes_the_checkpoints_files_and_no_others(path: str, directory: str) -> None:
    with CheckpointStorage(directory, "cd" * 16) as mine:
        manifest = load_manifest(path)
        Path(path, "notes.txt").write_text("mine")
        Path(path, "sub").mkdir()
        Path(path, f"{OPERATOR}-0.committed").touch()
        with pytest.raises(CheckpointError, match=r"its folder remains: .* for example notes.txt"):
            mine.discard_claimed(path, manifest)
        assert sorted(os.listdir(path)) == ["notes.txt", "sub"]
        shutil.rmtree(path)


def test_claiming_deletes_the_folder_where_nothing_else_is_in_it(path: str, directory: str) -> None:
    with CheckpointStorage(directory, "cd" * 16) as mine:
        mine.discard_claimed(path, load_manifest(path))
    assert not os.path.exists(path)
