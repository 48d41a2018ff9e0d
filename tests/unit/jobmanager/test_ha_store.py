"""The HA directory: what it stores, who may use it, and what a crash at any system call leaves behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shmflink.checkpoint.file_ops import FileOps
from shmflink.core.ids import JobId
from shmflink.errors import DirectoryInUseError, ResourceError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.ha_folder import HaFolder, Owner, cluster_folder
from shmflink.jobmanager.ha_store import HaStore, JobResult, Place
from shmflink.rpc.messages import SubmitJob
from shmflink.rpc.states import JobState

OWNER = Owner(4711, "there", "2026-11-21 10:00:00")
A, B = JobId("a" * 32), JobId("b" * 32)
FIRST, SECOND = "/c/chk-1", "/c/chk-2"


def job(job_id: JobId, name: str = "job") -> SubmitJob:
    return SubmitJob(JobGraph(job_id, name, False, (), ()), {"parallelism.default": "2"}, True)


def opened(tmp_path: Path, file_ops: FileOps | None = None) -> HaStore:
    return HaStore.open(f"file://{tmp_path}/ha", "words", OWNER, file_ops or FileOps())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HaStore]:
    store = opened(tmp_path)
    yield store
    store.close()


def again(store: HaStore, tmp_path: Path) -> HaStore:
    store.close()
    return opened(tmp_path)


def test_jobs_checkpoints_and_results_are_found_again(store: HaStore, tmp_path: Path) -> None:
    store.put_job(job(A))
    store.put_job(job(B, "other"))
    store.set_checkpoints(A, [FIRST])
    store.set_checkpoints(A, [SECOND, FIRST])
    store = again(store, tmp_path)
    assert store.jobs() == ([job(A), job(B, "other")], [])
    assert store.checkpoints(A) == [SECOND, FIRST]
    assert store.checkpoints(B) == []
    result = JobResult(A, JobState.FAILED, 12, "ResourceError", "disk full")
    store.put_result(result)
    store = again(store, tmp_path)
    assert store.result(A) == result
    assert store.jobs() == ([job(B, "other")], [])
    assert store.checkpoints(A) == []
    store.forget_results()
    assert store.result(A) is None
    store.close()


def test_a_job_that_is_submitted_again_replaces_the_one_before_and_keeps_its_checkpoints(store: HaStore) -> None:
    store.put_job(job(A, "old"))
    store.set_checkpoints(A, [FIRST])
    store.put_job(job(A, "new"))
    assert store.jobs() == ([job(A, "new")], [])
    assert store.checkpoints(A) == [FIRST]
    store.put_result(JobResult(A, JobState.FINISHED, 1))
    store.put_job(job(A, "once more"))
    assert store.result(A) is None


def test_places_are_found_again_and_go_with_their_jobs_results(store: HaStore, tmp_path: Path) -> None:
    first, second = Place(0, A, "counts", "/jobs/counts.py"), Place(10, B, "clicks", None)
    store.put_place(second)
    store.put_place(first)
    store = again(store, tmp_path)
    assert store.places() == [first, second]
    store.put_result(JobResult(A, JobState.FINISHED, 1))
    store.forget_results()
    assert store.places() == [second]
    store.close()


def test_a_folder_keeps_its_identity_and_a_copy_gets_another(store: HaStore, tmp_path: Path) -> None:
    identity = store.identity
    assert len(identity) == 16
    store = again(store, tmp_path)
    assert store.identity == identity
    store.close()
    shutil.copytree(tmp_path / "ha", tmp_path / "copy" / "ha")
    copy = opened(tmp_path / "copy")
    assert copy.identity != identity
    other = copy.identity
    assert again(copy, tmp_path / "copy").identity == other


@pytest.mark.parametrize("name", [f"results/{A}", "places/0", f"checkpoints/{A}", "epoch", "identity"])
def test_a_file_with_other_fields_is_refused_and_named(store, tmp_path, name):
    """[C19] Its checksum fits: another release wrote it."""
    store.put_result(JobResult(A, JobState.FINISHED, 1))
    store.put_place(Place(0, A, "counts", "/jobs/counts.py"))
    store.set_checkpoints(A, [FIRST])
    path = f"{store.folder}/{name}"
    with open(path, "rb") as file:
        head, _, content = file.read().partition(b"\n")
    whole = orjson.loads(content)
    if isinstance(whole, dict):
        changed = [{key: value for key, value in whole.items() if key != gone} for gone in whole] + [{**whole, "x": 1}]
        changed += [{**whole, key: other} for key in whole for other in ([], {}, True, -1, "", 1.5) if whole[key] != ""]
    else:
        changed = [{}, "x", None, [1], ["relative"], [FIRST, None]]
    said = []
    for other in changed:
        data = orjson.dumps(other)
        kind = head.split()[1]
        with open(path, "wb") as file:
            file.write(b"shmflink %s version 1 length %d crc32 %08x\n" % (kind, len(data), zlib.crc32(data)) + data)
        said.append(refusal(store, tmp_path))
    assert all(one == "" or f"{path} cannot be understood" in one for one in said)
    assert sum(map(bool, said)) >= max(len(changed) - 8, 1)


def refusal(store: HaStore, tmp_path: Path) -> str:
    """Why it cannot be opened or read; empty where it can."""
    store.close()
    try:
        with contextlib.closing(opened(tmp_path)) as other:
            other.result(A), other.places(), other.checkpoints(A)
    except ResourceError as error:
        return str(error)
    return ""


def test_epochs_rise_over_all_openings(store: HaStore, tmp_path: Path) -> None:
    """[P8] [P14] [B17]"""
    epochs = [store.next_epoch() for _ in range(2500)]
    for _ in range(3):
        store = again(store, tmp_path)
        epochs += [store.next_epoch() for _ in range(3)]
    assert epochs == sorted(set(epochs))
    store.close()


def test_a_second_jobmanager_is_refused_and_told_of_the_first(store: HaStore, tmp_path: Path) -> None:
    """[P8]"""
    with pytest.raises(
        DirectoryInUseError, match=r"in use by the JobManager with pid 4711 on there, running since 2026-11-"
    ):
        opened(tmp_path)
    store.close()
    opened(tmp_path).close()


def test_the_lock_goes_with_the_process_and_not_with_a_file(tmp_path: Path) -> None:
    """[M5] [P8] Killed: free at once. Whoever removes every file in the folder has not removed the lock."""
    script = (
        "import sys; from shmflink.jobmanager.ha_store import *; from shmflink.jobmanager.ha_folder import *; "
        "HaStore.open(sys.argv[1], 'words', Owner(1, 'h', 's')); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, f"{tmp_path}/ha"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    os.unlink(f"{tmp_path}/ha/words/owner")
    with pytest.raises(ResourceError, match="in use by another JobManager"):
        opened(tmp_path)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    opened(tmp_path).close()


def test_one_whose_folder_was_taken_away_cannot_write_any_more(store: HaStore, tmp_path: Path) -> None:
    """[P8] The lock is on the folder: a new one in its place is another lock."""
    os.rename(f"{tmp_path}/ha/words", f"{tmp_path}/ha/away")
    with pytest.raises(ResourceError, match="was moved or removed while it was in use"):
        store.put_job(job(A))
    other = opened(tmp_path)
    with pytest.raises(ResourceError, match="was moved or removed"):
        store.set_checkpoints(A, [FIRST])
    assert other.jobs() == ([], [])
    other.close()


def test_one_whose_epochs_were_overtaken_gets_no_more(store: HaStore, tmp_path: Path) -> None:
    """[P8] A copy of a lock, a file system that does not lock: the epochs tell."""
    other = HaStore(HaFolder(store.folder, os.dup(store._folder._lock_fd), FileOps()))
    other._folder._settle((), OWNER)
    with pytest.raises(ResourceError, match="another JobManager has taken over"):
        store.next_epoch()
    assert other.next_epoch() > 0
    other.close()


def test_one_that_was_overtaken_changes_nothing(store: HaStore) -> None:
    """[P8] Its pointers would lead its successor to older checkpoints; its end of a job would end the successor's."""
    store.put_job(job(A))
    store.set_checkpoints(A, [FIRST])
    other = HaStore(HaFolder(store.folder, os.dup(store._folder._lock_fd), FileOps()))
    other._folder._settle((), OWNER)
    other.set_checkpoints(A, [SECOND, FIRST])
    for change in (
        lambda: store.set_checkpoints(A, [FIRST]),
        lambda: store.put_result(JobResult(A, JobState.FINISHED, 1)),
        lambda: store.remove_job(A),
        lambda: store.put_job(job(B)),
    ):
        with pytest.raises(ResourceError, match="another JobManager has taken over"):
            change()
    assert other.checkpoints(A) == [SECOND, FIRST]
    assert [submission.graph.job_id for submission in other.jobs()[0]] == [A]
    other.close()


FILES = {"jobs/" + A.hex: lambda s: s.job(A), "checkpoints/" + A.hex: lambda s: s.checkpoints(A),
         "results/" + B.hex: lambda s: s.result(B)}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_damage_is_found_and_named_wherever_it_is(store, name):
    """[C6] [C7] Every single byte changed, every length cut."""
    store.put_job(job(A))
    store.set_checkpoints(A, [FIRST])
    store.put_result(JobResult(B, JobState.FINISHED, 1))
    path = f"{store.folder}/{name}"
    with open(path, "rb") as file:
        whole = file.read()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for data in damaged:
        with open(path, "wb") as file:
            file.write(data)
        with pytest.raises(ResourceError, match=path):
            FILES[name](store)


def test_a_damaged_job_does_not_hide_the_others(store: HaStore) -> None:
    store.put_job(job(A))
    store.put_job(job(B))
    with open(f"{store.folder}/jobs/{A}", "ab") as file:
        file.write(b"x")
    found, wrong = store.jobs()
    assert found == [job(B)]
    assert len(wrong) == 1
    assert f"jobs/{A} is damaged" in wrong[0]


def test_a_damaged_epoch_stops_everything(store: HaStore, tmp_path: Path) -> None:
    """[C6] Beginning anew at zero would let a process of an older attempt pass for a new one."""
    store.close()
    with open(f"{store.folder}/epoch", "wb"):
        pass
    with pytest.raises(ResourceError, match="epoch is damaged"):
        opened(tmp_path)


def test_a_newer_format_is_refused_naming_both_versions(store: HaStore) -> None:
    """[C19]"""
    with open(f"{store.folder}/checkpoints/{A}", "wb") as file:
        file.write(b"shmflink checkpoint version 2 length 0 crc32 00000000\n")
    with pytest.raises(ResourceError, match="has version 2 of the format, but this shmflink supports 1"):
        store.checkpoints(A)


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """[M7] What lies in it is unpickled."""
    os.makedirs(f"{tmp_path}/ha/words")
    os.chmod(f"{tmp_path}/ha/words", 0o777)
    with pytest.raises(ResourceError, match="may be written by others"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("cluster_id", "name"),
    [("/default", "default"), ("", "default"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("a.b-c", "a.b-c")],
)
def test_no_cluster_id_leads_out_of_the_directory(cluster_id: str, name: str) -> None:
    """[R2]"""
    assert cluster_folder("file:///ha", cluster_id) == f"/ha/{name}"


class _DiedError(BaseException):
    """As if the process was killed."""


class _Failing(FileOps):
    """The `nth` call raises `error`; after a death so does every later one: nothing cleans up."""

    def __init__(self, nth: int, error: type[BaseException]) -> None:
        self.calls = 0
        self._nth = nth
        self._error = error

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name == "calls":
            return found

        def counted(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self._nth or (self.calls > self._nth and self._error is _DiedError):
                raise self._error("injected")
            return found(*arguments)

        return counted


CHANGES: dict[str, Callable[[HaStore], None]] = {
    "put_job": lambda s: s.put_job(job(A, "new")),
    "set_checkpoints": lambda s: s.set_checkpoints(A, [SECOND, FIRST]),
    "put_result": lambda s: s.put_result(JobResult(A, JobState.FINISHED, 5)),
    "remove_job": lambda s: s.remove_job(A),
    "forget_results": HaStore.forget_results,
    "put_place": lambda s: s.put_place(Place(0, A, "new", "/jobs/new.py")),
}


def seen(store: HaStore) -> tuple[Any, ...]:
    checkpoints = store.checkpoints(A) if store.job(A) else None
    return store.jobs(), checkpoints, store.result(A), store.result(B), store.places()


def before(folder: Any) -> HaStore:
    store = opened(folder)
    store.put_job(job(A, "old"))
    store.set_checkpoints(A, [FIRST])
    store.put_result(JobResult(B, JobState.CANCELED, 1))
    return store


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("error", [_DiedError, OSError])
def test_whichever_call_fails_the_old_or_the_new_is_found(tmp_path, change, error):
    """[C1] [C2] [C3] [C5] Death or an I/O error at the n-th system call, n = 1.. until a clean pass."""
    reference = before(tmp_path / "reference")
    old = seen(reference)
    CHANGES[change](reference)
    new = seen(reference)
    reference.close()
    nth = 0
    is_through = False
    while not is_through:
        nth += 1
        folder = tmp_path / str(nth)
        store = before(folder)
        failing = _Failing(nth, error)
        store._folder._ops = failing
        try:
            CHANGES[change](store)
            is_through = True
        except _DiedError:
            assert error is _DiedError
        except ResourceError:
            assert error is OSError
        store.close()
        store = opened(folder)
        now = seen(store)
        if is_through:
            assert now == new
        else:
            assert now in (old, new), nth
        assert not [name for _, _, names in os.walk(store.folder) for name in names if "part" in name]
        store.close()
    assert nth > 1


@pytest.mark.parametrize("error", [_DiedError, OSError])
def test_whichever_call_of_an_opening_fails_the_next_one_succeeds_with_higher_epochs(tmp_path, error):
    """[P15] Recovery itself is interrupted, again and again."""
    store = before(tmp_path)
    expected = seen(store)
    highest = store.next_epoch()
    store.close()
    nth = 0
    while True:
        nth += 1
        try:
            store = opened(tmp_path, _Failing(nth, error))
        except (_DiedError, ResourceError):
            continue
        assert store.next_epoch() > highest
        highest = store.next_epoch()
        assert seen(store) == expected
        store.close()
        break
    assert nth > 5
