"""The folder that writers share: no writer removes it while another uses it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from oracle.two_phases import Attempt

from shmflink.connectors.file_system.writing.parts.base_folder import BaseFolder
from shmflink.connectors.file_system.writing.parts.part_file import PartFile
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.core.batch import Batch
from shmflink.errors import ResourceError


def test_who_made_it_and_failed_removes_it_when_nobody_else_has_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out"
    first, second = BaseFolder(str(path)), BaseFolder(str(path))
    second.release(removes=True)
    assert path.is_dir(), "it made nothing"
    first.release(removes=True)
    first.release(removes=True)
    assert not path.exists()


@pytest.mark.parametrize("others", ["has it", "has a file in it", "made it"])
def test_it_stays_for_others(tmp_path: Path, others: str) -> None:
    path = tmp_path / "out"
    if others == "made it":
        path.mkdir()
    first = BaseFolder(str(path))
    second = BaseFolder(str(path)) if others == "has it" else None
    if others == "has a file in it":
        (path / "part").touch()
    first.release(removes=True)
    assert path.is_dir()
    if second is not None:
        second.release(removes=True)


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ResourceError, match="this is a file"):
        BaseFolder(str(tmp_path / "out"))


def test_many_that_come_and_go_never_lose_it_while_they_have_it(tmp_path: Path) -> None:
    """A file without a name does not keep a folder: the lock does."""
    path, start = tmp_path / "out", threading.Barrier(8)

    def come_and_go() -> None:
        start.wait()
        for number in range(100):
            folder = BaseFolder(str(path))
            file = PartFile(str(path), f"part-{number}")
            file.discard()
            folder.release(removes=True)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(come_and_go) for _ in range(8)]:
            done.result()


def test_a_subtask_that_closes_leaves_the_folder_to_one_that_writes_later(tmp_path: Path) -> None:
    out = tmp_path / "out"
    attempt = Attempt(FileSink.csv(str(out), header=False), 2)
    closing, writing = attempt.operators
    closing.close()
    attempt.operators = [writing]
    attempt.write(Batch.of_columns(pa.record_batch({"n": [1]})))
    attempt.checkpoint(1)
    attempt.complete(1)
    assert [path.read_text() for path in out.glob("*.csv")] == ["1\n"]
    attempt.close()
