from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from shmflink.connectors.file_system.writing.parts.part_file import PartFile
from shmflink.errors import ResourceError


@pytest.fixture(params=["anonymous", "hidden name"])
def part(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PartFile:
    if request.param == "hidden name":
        real = os.open

        def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "no anonymous files here")
            return real(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", refuse)
    return PartFile(str(tmp_path), "part-0")


def visible(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith("."))


def test_it_appears_whole(part: PartFile, tmp_path: Path) -> None:
    part.file.write(b"content")
    assert visible(tmp_path) == []
    part.publish(str(tmp_path / "bucket" / "part-0"))
    assert (tmp_path / "bucket" / "part-0").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["bucket"]


def test_discard_leaves_nothing(part: PartFile, tmp_path: Path) -> None:
    part.file.write(b"content")
    part.discard()
    assert os.listdir(tmp_path) == []


def test_a_parked_file_waits_hidden(part: PartFile, tmp_path: Path) -> None:
    part.file.write(b"content")
    part.park()
    assert part.file.closed
    assert visible(tmp_path) == []
    part.sync()
    part.link(str(tmp_path / "part-0"))
    assert os.listdir(tmp_path) == ["part-0"]


def test_a_parked_file_can_be_discarded(part: PartFile, tmp_path: Path) -> None:
    part.park()
    part.discard()
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_taken_is_not_overwritten(part: PartFile, tmp_path: Path) -> None:
    (tmp_path / "part-0").write_text("older")
    with pytest.raises(ResourceError, match="part-0: cannot be written: File exists"):
        part.publish(str(tmp_path / "part-0"))
    part.discard()
    assert (tmp_path / "part-0").read_text() == "older"
    assert os.listdir(tmp_path) == ["part-0"]


def test_a_folder_that_refuses(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot create a file here"):
        PartFile(str(tmp_path / "nothing"), "part-0")
