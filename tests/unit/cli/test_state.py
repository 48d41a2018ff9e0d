"""`shmflink state`: the content of a checkpoint, its entries in every format, damaged files by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from shmflink.checkpoint.handles import CheckpointLocation, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest, OperatorState
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.checkpoint.storage import write_manifest
from shmflink.cli.main import app
from shmflink.common import Types
from shmflink.core.elements import Barrier
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.core.keys.groups import range_of
from shmflink.state.arrow_form import Entries, StateForm, entries_to_batches
from shmflink.state.descriptors import MapStateDescriptor
from shmflink.state.entries import ABSENT
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state.namespaces import NO_NAMESPACES

COUNTS, PAIRS = "c0" * 16, "fa" * 16
GROUPS = 16


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["state", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


class Timers:
    name, is_delta = "_event_timers", False

    def batches(self) -> Any:
        form = StateForm("timers", namespaces=NO_NAMESPACES)
        entries = Entries(["a", "b"], [None, None], [None, None], [1_000, 2_000])
        return entries_to_batches(form, [entries], GROUPS)

    def saved(self, is_saved: bool) -> None: ...


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A checkpoint after three increments of a keyed operator, and another one with tuples as keys."""
    (tmp_path / "chk-3").mkdir()
    (tmp_path / "shared").mkdir()
    location = CheckpointLocation(str(tmp_path / "chk-3"), str(tmp_path / "shared"), 64)
    writer = StateFileWriter(location, 1, 3)
    counting = []
    for subtask in range(2):
        groups = range_of(subtask, GROUPS, 2)
        backend = HeapKeyedStateBackend(GROUPS)
        backend.value_state("count", Types.LONG())
        chain: list[StateFile] = []
        for round_ in range(3):
            live = backend.value_state("count", Types.LONG()).live
            keys = [f"k{i}" for i in range(40)]
            owned = [k for k in keys if group_of(k) in groups]
            for number, key in enumerate(owned):
                if round_ == 0 or number % 8 == round_:
                    live[key] = ABSENT if round_ == 2 and number % 16 == 2 else 100 * round_ + int(key[1:])
            for frozen in backend.freeze(Barrier(round_, 0), groups):
                assert frozen.is_delta == (round_ > 0)
                chain.append(writer.write_keyed(COUNTS, subtask, frozen, True))
                frozen.saved(True)
        timers = () if subtask else (writer.write_keyed(COUNTS, 0, Timers(), True),)
        keyed = [KeyedStateHandle("count", groups.start, groups.stop - 1, tuple(chain))]
        keyed += [KeyedStateHandle("_event_timers", 0, GROUPS - 1, timers)] if timers else []
        value = writer.write_value(COUNTS, subtask, "operator", {})
        counting.append(OperatorSubtaskState(COUNTS, subtask, tuple(keyed), value))
    operators = (
        OperatorState(COUNTS, "counts", "Count words", 1, 2, GROUPS, tuple(counting)),
        OperatorState(PAIRS, None, "Pairs", 2, 1, GROUPS, (pairs(writer),)),
        OperatorState("99" * 16, "sink", "sink", 3, 1, GROUPS, (OperatorSubtaskState("99" * 16, 0, is_finished=True),)),
    )
    return write_manifest(location.directory, Manifest(3, "ab" * 16, "words", 86_400_000, CHECKPOINT, operators))


def group_of(key: Any) -> int:
    from shmflink.core.keys.groups import key_groups

    return int(key_groups(encode_keys([key]), GROUPS)[0])


def pairs(writer: StateFileWriter) -> OperatorSubtaskState:
    backend = HeapKeyedStateBackend(GROUPS)
    keys = decode_keys(encode_keys([(1, "x"), (2, "y")]))
    backend.value_state("anything").live.update(zip(keys, [{"free": 1}, {2, 3}], strict=True))
    descriptor = MapStateDescriptor("by name", Types.STRING(), Types.DOUBLE())
    backend.state(descriptor)
    backend.table("by name").live[keys[0]] = {"pi": 3.14}
    handles = []
    for frozen in backend.freeze(Barrier(1, 0), range(GROUPS)):
        file = writer.write_keyed(PAIRS, 0, frozen, False)
        handles.append(KeyedStateHandle(frozen.name, 0, GROUPS - 1, (file,)))
    return OperatorSubtaskState(PAIRS, 0, tuple(handles))


def expected() -> dict[str, int]:
    counts: dict[str, int] = {}
    for subtask in range(2):
        owned = [f"k{i}" for i in range(40) if group_of(f"k{i}") in range_of(subtask, GROUPS, 2)]
        for number, key in enumerate(owned):
            base = int(key[1:])
            if number % 8 == 2 and number % 16 == 2:
                continue
            counts[key] = base + (100 * (number % 8) if number % 8 in (1, 2) else 0)
    return counts


def test_list_shows_operators_states_and_sizes(path: str) -> None:
    code, out, _ = run("list", path)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"checkpoint 3 of job 'words' ({'ab' * 16}), 1970-01-02 00:00:00 UTC"
    assert "maximum parallelism 16" in lines[1]
    shown = [line.split() for line in lines[4:]]
    assert shown[0][:7] == ["counts", "(Count", "words)", "2", "count", "value", "Long"]
    assert any(line[:2] == ["_event_timers", "timers"] for line in shown)
    assert any(line[:3] == ["-", "operator", "state"] for line in shown)
    assert any(line[:4] == ["fafafafa", "(Pairs)", "1", "anything"] for line in shown)
    assert any(line[:4] == ["sink", "1", "ended", "-"] for line in shown)


def test_list_as_json(path: str) -> None:
    code, out, _ = run("list", f"{path}/_metadata", "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["checkpoint_id"], document["path"]) == (3, path)
    state = document["operators"][0]["states"][0]
    assert (state["name"], state["kind"], state["type"], state["files"]) == ("count", "value", "Long", 6)
    assert state["rows"] == 40 + sum(  # entries, then changes
        number % 8 in (1, 2)
        for subtask in range(2)
        for number, _ in enumerate(k for k in range(40) if group_of(f"k{k}") in range_of(subtask, GROUPS, 2))
    )


def test_read_applies_changes_and_deletions(path: str) -> None:
    code, out, err = run("read", path, "--operator", "counts", "--state", "count", "--format", "json")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["key"]: row["value"] for row in rows} == expected()
    assert len(rows) == len(expected())
    assert all(set(row) == {"key", "value"} for row in rows)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_read_writes_files(path: str, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"out.{ending}"
    assert run("read", path, "--operator", "Count words", "--state", "count", "--output", str(target))[0] == 0
    table = pq.read_table(target) if ending == "parquet" else pa.ipc.open_file(target).read_all()
    assert dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True)) == expected()


def test_read_as_a_table_with_a_limit(path: str) -> None:
    code, out, _ = run("read", path, "--operator", "c0c0", "--state", "count", "--limit", "3")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["key", "value"]
    assert len(lines) == 5
    assert lines[4].startswith(f"... {len(expected())} entries")


def test_read_timers_and_keys_that_are_tuples(path: str) -> None:
    _, out, err = run("read", path, "--operator", "counts", "--state", "_event_timers", "--format", "json")
    assert err == ""
    rows = [json.loads(line) for line in out.splitlines()]
    assert sorted((row["key"], row["timestamp"]) for row in rows) == [("a", 1000), ("b", 2000)]
    _, out, _ = run("read", path, "--operator", "Pairs", "--state", "by name", "--format", "json")
    assert json.loads(out) == {"key": {"f0": 1, "f1": "x"}, "value": {"pi": 3.14}}


def test_pickled_values_are_loaded_only_when_asked(path: str) -> None:
    words = ("read", path, "--operator", "Pairs", "--state", "anything", "--format", "json")
    code, out, err = run(*words)
    assert code == 0
    assert "--unpickle" in err
    assert "free" not in out
    _, out, err = run(*words, "--unpickle")
    assert err == ""
    assert sorted(json.loads(line)["value"] for line in out.splitlines()) == ["{'free': 1}", "{2, 3}"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--operator", "nobody"), "known operators: counts (Count words), fafafafa (Pairs), sink (sink)"),
        (("--operator", "counts"), "choose one with --state"),
        (("--operator", "counts", "--state", "none"), "has no keyed state 'none'"),
        (("--operator", "sink"), "has no keyed state"),
        (("--operator", "counts", "--state", "count", "--format", "parquet"), "--output FILE"),
    ],
)
def test_what_is_not_there_is_said(path: str, words: tuple[str, ...], says: str) -> None:
    code, _, err = run("read", path, *words)
    assert code == 1
    assert says in err


def test_verify_names_every_bad_file(path: str) -> None:
    """[C7] The command beside a restore's own check."""
    code, out, _ = run("verify", path)
    assert code == 0
    assert "complete and unchanged" in out
    shared = Path(path).parent / "shared"
    first, second = sorted(shared.iterdir())[:2]
    first.write_bytes(first.read_bytes()[:-1])
    os.unlink(second)
    code, out, err = run("verify", path)
    assert (code, out) == (1, "")
    assert first.name in err
    assert second.name in err
    assert "2 of" in err


def test_no_checkpoint_is_an_error_in_every_command(tmp_path: Path) -> None:
    for words in (("list",), ("verify",), ("read", "--operator", "x")):
        code, _, err = run(words[0], str(tmp_path / "none"), *words[1:])
        assert code == 1
        assert "does not exist" in err


def test_help_teaches() -> None:
    for words in ((), ("read",), ("list",), ("verify",)):
        code, out, _ = run(*words, "--help")
        assert code == 0
        assert "savepoint" in out
