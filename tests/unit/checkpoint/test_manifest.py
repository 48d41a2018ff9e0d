"""The text of a checkpoint's metadata."""

from __future__ import annotations

import orjson
import pytest

from shmflink.checkpoint.handles import ChannelState, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import SAVEPOINT, Manifest, OperatorState, files_of, manifest_from, text_of
from shmflink.errors import CheckpointCorruptedError, CheckpointError


def a_manifest() -> Manifest:
    file = StateFile("1-5-a-0-1.arrow", 700, 0xDEADBEEF, 12)
    shared = StateFile("../shared/1-4-a-0-1.arrow", 1 << 40, 1, 1 << 33)
    inline = StateFile("1-5-a-0-2.operator", 3, 7, 0, b"\x00\xff\x80")
    busy = OperatorSubtaskState(
        "a" * 32, 0, (KeyedStateHandle("häufig", 0, 63, (shared, file)),), inline, None, (ChannelState(3, 1, file),)
    )
    ended = OperatorSubtaskState("a" * 32, 1, is_finished=True)
    operators = (
        OperatorState("a" * 32, "my uid", "Map", 1, 2, 128, (busy, ended)),
        OperatorState("b" * 32, None, "Source", 0, 1, 128, (), inline),
    )
    return Manifest(5, "c" * 32, 'the "job"', 1_700_000_000_000, SAVEPOINT, operators, is_unaligned=True)


def test_it_comes_back_as_it_was() -> None:
    manifest = a_manifest()
    assert manifest_from(text_of(manifest), "x") == manifest
    assert len(list(files_of(manifest))) == 5
    assert manifest.max_parallelisms == {"a" * 32: 128, "b" * 32: 128}
    assert manifest.operator("b" * 32) is manifest.operators[1]
    assert manifest.operator("d" * 32) is None
    assert [operator.has_state for operator in manifest.operators] == [True, True]
    assert [operator.is_finished for operator in manifest.operators] == [False, False]


def test_people_can_read_it_and_lay_it_out_anew() -> None:
    text = text_of(a_manifest())
    assert b'\n    "job_name": "the \\"job\\"",\n' in text
    assert '"name": "häufig"'.encode() in text
    assert manifest_from(orjson.dumps(orjson.loads(text)), "x") == a_manifest()


def test_a_newer_version_is_refused_by_both_numbers() -> None:
    """[C19] Neither misread nor called damaged."""
    newer = orjson.loads(text_of(a_manifest())) | {"version": 7, "crc32": "of another kind"}
    with pytest.raises(CheckpointError, match=r"version 7 .* reads version 1") as failure:
        manifest_from(orjson.dumps(newer), "/cp/_metadata")
    assert "/cp/_metadata" in str(failure.value)
    assert not isinstance(failure.value, CheckpointCorruptedError)


def test_the_first_versions_text_is_read_for_ever() -> None:
    """[C19] The text as the first release wrote it."""
    text = b"""{"format": "shmflink checkpoint", "version": 1, "crc32": "5f2e1b18", "content": {"checkpoint_id": 1,
    "job_id": "j", "job_name": "n", "timestamp_ms": 2, "kind": "checkpoint", "is_unaligned": false, "operators": [
    {"operator_id": "o", "uid": null, "name": "m", "vertex": 0, "parallelism": 1, "max_parallelism": 128, "subtasks": [
    {"subtask": 0, "keyed": [{"name": "s", "key_groups": [0, 127], "files": [
    {"path": "f.arrow", "length": 5, "crc32": "000000ff", "rows": 1}]}]}]}]}}"""
    handle = KeyedStateHandle("s", 0, 127, (StateFile("f.arrow", 5, 255, 1),))
    operator = OperatorState("o", None, "m", 0, 1, 128, (OperatorSubtaskState("o", 0, (handle,)),))
    assert manifest_from(text, "x") == Manifest(1, "j", "n", 2, "checkpoint", (operator,))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[: len(text) // 2], "truncated"),
        (lambda text: b"", "truncated"),
        (lambda text: text.replace(b'"rows": 12', b'"rows": 13'), "checksum"),
        (lambda text: text.replace(b"my uid", b"my uie"), "checksum"),
        (lambda text: text.replace(b'"content"', b'"contend"'), "checksum"),
    ],
)
def test_damage_is_recognised(change: object, says: str) -> None:
    """[C6] [C7] Cut or changed anywhere."""
    with pytest.raises(CheckpointCorruptedError, match=says):
        manifest_from(change(text_of(a_manifest())), "/cp/_metadata")  # type: ignore[operator]


def test_other_files_are_no_checkpoints() -> None:
    for text in (b"[]", b"{}", b'{"format": "something"}', b"17"):
        with pytest.raises(CheckpointError, match="not the metadata"):
            manifest_from(text, "x")
