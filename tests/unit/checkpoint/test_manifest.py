"""The text of a checkpoint's metadata."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from shmflink.checkpoint.handles import ChannelState, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import SAVEPOINT, Manifest, OperatorState, files_of, manifest_from, text_of
from shmflink.errors import CheckpointCorruptedError, CheckpointError, ShmflinkError


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
        OperatorState("b" * 32, None, "Source", 0, 1, 128, (), inline, "FileSource"),
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
    with pytest.raises(CheckpointError, match=r"version 7 .* reads versions 1 to 2") as failure:
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
    assert manifest_from(text, "x") == Manifest(1, "j", "n", 2, "checkpoint", (operator,), version=1)


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


def sealed(content: Any) -> bytes:
    """Content of somebody's own with a checksum that fits."""
    head = {"format": "shmflink checkpoint", "version": 2, "crc32": f"{zlib.crc32(orjson.dumps(content)):08x}"}
    return orjson.dumps(head | {"content": content})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every field and item in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from places(item)


OTHERS = [None, True, -1, 1.5, 1 << 63, "text", "", [], [1], {}, {"a": 1}]
OPTIONAL = {
    "coordinator",
    "operator_state",
    "broadcast_state",
    "inline",
    "rows",
    "keyed",
    "channels",
    "connector",
    "is_finished",
}


def test_a_missing_or_mistyped_field_is_an_error_that_names_it() -> None:
    """Each field dropped, each replaced by every other kind of value, each object with one field more."""
    whole = orjson.loads(text_of(a_manifest()))["content"]
    count = sum(1 for _ in places(whole))
    assert count > 60
    for number in range(count):
        for other in [*OTHERS, "drop", "add"]:
            content = copy.deepcopy(whole)
            container, key = list(places(content))[number]
            if other == "add" and not isinstance(container[key], dict):
                continue
            if other == "drop":
                del container[key]
            else:
                container[key] = {**container[key], "new": 1} if other == "add" else other
            said = refusal(sealed(content))
            if said:
                assert said.startswith("/cp/_metadata cannot be decoded: ")
                assert isinstance(key, int) or other == "add" or str(key) in said
            else:
                assert other != "add"
                assert other != "drop" or isinstance(key, int) or key in OPTIONAL


def refusal(text: bytes) -> str:
    """Why it is no manifest; empty where it is one. What else it raises comes out."""
    try:
        manifest_from(text, "/cp/_metadata")
    except CheckpointError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "path",
    ["../../secret", "/etc/passwd", "..", ".", "", ".lock", "../shared/../x", "../shared/.lock", "a/b", "x\0y", "../x"],
)
def test_a_file_lies_in_the_checkpoints_folder_or_in_the_shared_one(path: str) -> None:
    content = orjson.loads(text_of(a_manifest()))["content"]
    content["operators"][0]["subtasks"][0]["keyed"][0]["files"][1]["path"] = path
    with pytest.raises(CheckpointError, match=r"operators\[0\]\.subtasks\[0\]\.keyed\[0\]\.files\[1\]\.path is"):
        manifest_from(sealed(content), "x")


@pytest.mark.parametrize("version", [True, "2", None, 0, 1.0, [], {"a": 1}])
def test_a_version_is_a_number(version: Any) -> None:
    document = orjson.loads(text_of(a_manifest())) | {"version": version}
    with pytest.raises(CheckpointError, match="reads versions 1 to 2"):
        manifest_from(orjson.dumps(document), "x")


@pytest.mark.parametrize("text", [b"[" * 5000, b'{"format":"shmflink checkpoint","version":2,"crc32":"","content":'
                                  + b"[" * 900 + b"]" * 900 + b"}", b"\xff\xfe", b'"\\ud800"'])  # fmt: skip
def test_nonsense_is_refused(text: bytes) -> None:
    with pytest.raises(ShmflinkError):
        manifest_from(text, "x")
