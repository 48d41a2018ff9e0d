"""Part files that are complete but not visible yet (Flink: PendingFileRecoverable and its committer).

::

    in progress   no name (O_TMPFILE), or a hidden one if a checkpoint refers to it
    staged        durable, under a hidden name in the base: `.<name>.inprogress.<job>.<operator>.<epoch>.<subtask>`,
                  where <job> is the job's id and, after a `-`, the identity of the HA directory that stores it
    visible       under its own name in its bucket's folder; the hidden name is gone

From staged to visible is one step of the file system, never a copy. Every reader skips hidden names. `leftovers` lists
the hidden files of killed jobs; the job's next attempt removes them when it starts.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from shmflink.connectors.base import Committer, is_heir
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.parts.publish import publish
from shmflink.connectors.file_system.writing.replacing import ReplacedFiles, files_before
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import ResourceError, StagedDataLostError
from shmflink.operators.base import OperatorContext

__all__ = [
    "EmptyFile",
    "FileCommitter",
    "Leftover",
    "StagedFile",
    "hidden_name",
    "hidden_names",
    "leftovers",
    "remove_leftovers",
    "restored_part",
    "sync_kept",
    "tag_of",
]

_HIDDEN: Final = re.compile(
    r"\.(?P<name>.+)\.inprogress\.(?P<job>[0-9a-f]{32})(?:-(?P<ha>[0-9a-f]+))?\.(?P<operator>\w*)\.(?P<epoch>\d+)\.(?P<subtask>\d+)"
)


@dataclass(frozen=True, slots=True)
class StagedFile:
    """`hidden` becomes `path` and has `length` bytes. A file that was in progress may be longer: the rest is
    truncated.
    """

    hidden: str
    path: str
    length: int


@dataclass(frozen=True, slots=True)
class EmptyFile:
    """A staged file with columns but no rows. It becomes visible only if no files remain besides those of `gone`, which
    are removed.
    """

    staged: StagedFile
    gone: frozenset[str]

    def is_needed(self, files: FileSystem) -> bool:
        """Evaluated at the commit: by then all subtasks have staged their files."""
        base_path, _, name = self.staged.hidden.rpartition("/")
        sink = _sink_of(name)
        for other in leftovers(base_path, files):
            is_of_sink = sink is not None and _sink_of(other.path.rpartition("/")[2]) == sink
            if is_of_sink and other.path != self.staged.hidden:
                return False
        ignored = self.gone | {self.staged.path}
        return all(info.path in ignored for info in files_before(files, base_path))


@dataclass(frozen=True, slots=True)
class Leftover:
    """A hidden file of a job: staged or in progress. If the job no longer exists, users may rename or remove the
    file.
    """

    path: str
    name: str
    job_id: str
    ha_identity: str
    operator: str
    epoch: int
    subtask: int
    size: int


def _sink_of(hidden: str) -> tuple[str | None, ...] | None:
    """Job, HA directory and operator in a hidden name; None if it has none.

    The epoch is not compared: each pipelined region counts its own attempts.
    """
    found = _HIDDEN.fullmatch(hidden)
    return None if found is None else found.group("job", "ha", "operator")


def hidden_names(committables: Iterable[Any]) -> set[str]:
    """The paths of staged files among a sink's committables and writer states."""
    staged = [each.staged if isinstance(each, EmptyFile) else each for each in committables]
    return {each.hidden for each in staged if isinstance(each, StagedFile)}


def hidden_name(name: str, tag: str) -> str:
    """`tag` is random or comes from `tag_of`."""
    return f".{name}.inprogress.{tag}"


def tag_of(context: OperatorContext) -> str:
    """Identifies the attempt that a hidden file belongs to; empty if it is not known."""
    if not context.job_id:
        return ""
    job = f"{context.job_id}-{context.ha_identity}" if context.ha_identity else context.job_id
    return f"{job}.{_short(context)}.{context.epoch}.{context.subtask_index}"


class FileCommitter(Committer):
    """Makes staged files visible. A file that is already visible is left alone; a file that does not exist is an
    error.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files

    def commit(self, committables: Sequence[StagedFile | EmptyFile | ReplacedFiles]) -> None:
        """In this order: new files are visible before old ones are removed."""
        publish([_Staged(each, self._files) for each in committables if isinstance(each, StagedFile)])
        for each in committables:
            if isinstance(each, EmptyFile):
                self._commit_empty(each)
        for each in committables:
            if isinstance(each, ReplacedFiles):
                each.commit(self._files)

    def abandon(self, committables: Sequence[StagedFile | EmptyFile | ReplacedFiles]) -> None:
        for hidden in hidden_names(committables):
            _remove(hidden, self._files)

    def _commit_empty(self, empty: EmptyFile) -> None:
        if empty.is_needed(self._files):
            publish([_Staged(empty.staged, self._files, has_rows=False)])
        else:
            _remove(empty.staged.hidden, self._files)


def restored_part(state: StagedFile) -> StagedFile:
    """Truncates a file that was in progress at the checkpoint to its length at the checkpoint, which completes it.

    Raises:
        StagedDataLostError: the file is missing or shorter.
        ResourceError: the system reports an error.
    """
    try:
        with open(state.hidden, "r+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size < state.length:
                raise StagedDataLostError(
                    f"{state.hidden}: has {size} bytes, but had {state.length} at the checkpoint: rows are lost"
                )
            file.truncate(state.length)
            os.fsync(file.fileno())
    except OSError as error:
        kind = StagedDataLostError if isinstance(error, FileNotFoundError) else ResourceError
        raise kind(
            f"{state.hidden}: cannot resume the file, which was in progress at the restored checkpoint: "
            f"{error.strerror}. If a later checkpoint of the same job has completed, restore that one."
        ) from error
    return state


def sync_kept(kept: Sequence[StagedFile]) -> None:
    """Makes files in progress durable; a file that has become visible meanwhile is already durable.

    Raises:
        ResourceError: the disk reports an error.
    """
    for state in kept:
        try:
            descriptor = os.open(state.hidden, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise ResourceError(f"{state.path}: cannot be written: {error.strerror}") from error
        finally:
            os.close(descriptor)


def leftovers(base_path: str, files: FileSystem | None = None) -> Iterator[Leftover]:
    """Hidden files directly below a sink's base path, those of running jobs included, in no particular order."""
    for info in (files or FileSystem()).list_folder(base_path):
        found = _HIDDEN.fullmatch(info.path.rpartition("/")[2])
        if found is not None:
            numbers = int(found["epoch"]), int(found["subtask"])
            who = found["job"], found["ha"] or "", found["operator"]
            yield Leftover(info.path, found["name"], *who, *numbers, info.size)


def remove_leftovers(base_path: str, files: FileSystem, context: OperatorContext, kept: Collection[str]) -> None:
    """Removes files that earlier attempts of this subtask left behind, except the paths in `kept`. Never removes files
    of other jobs and sinks.

    Subtask 0 also removes files left by subtasks that no longer exist.
    """
    for leftover in list(leftovers(base_path, files)):
        job = leftover.job_id, leftover.ha_identity
        is_mine = (*job, leftover.operator) == (context.job_id, context.ha_identity, _short(context))
        if (
            is_mine
            and is_heir(context, leftover.subtask)
            and leftover.epoch < context.epoch
            and leftover.path not in kept
        ):
            _remove(leftover.path, files)


def _short(context: OperatorContext) -> str:
    return context.operator_id[:16]


class _Staged:
    """One staged file as a `publish.Publishable`."""

    def __init__(self, staged: StagedFile, files: FileSystem, *, has_rows: bool = True) -> None:
        self._staged = staged
        self._has_rows = has_rows
        self._files = files
        self.path = staged.path
        self.folder = os.path.dirname(staged.path) if files.is_local(staged.path) else None

    def sync(self) -> None:
        """Does nothing: staging has made the file durable."""

    def link(self) -> None:
        staged = self._staged
        is_done = self._files.move(staged.hidden, staged.path) if self.folder is None else _link(staged)
        if not is_done and not self._is_visible() and self._has_rows:
            raise StagedDataLostError(
                f"{staged.path}: the {staged.length} bytes staged for it in {staged.hidden} are missing, and "
                "only the checkpoint refers to them: their rows are lost. Put the file back "
                "under one of these names, or restore an older checkpoint or savepoint. If it was committed and "
                "removed since, give the sink another uid and drop its state (--allow-non-restored-state)"
            )

    def discard(self) -> None:
        """Does nothing: the checkpoint contains the file, so it will be committed again."""

    def _is_visible(self) -> bool:
        found = self._files.stat(self.path)
        if found is None:
            return False
        if found.size != self._staged.length:
            raise StagedDataLostError(
                f"{self.path}: has {found.size} bytes, but {self._staged.length} were staged: another program "
                f"wrote this file"
            )
        return True


def _link(staged: StagedFile) -> bool:
    """False if the hidden name does not exist. Raises OSError, also if the path is another file."""
    try:
        os.link(staged.hidden, staged.path)
    except FileNotFoundError:
        return False
    except FileExistsError:
        # A commit died between its two steps: both names are the same file.
        if not os.path.samefile(staged.hidden, staged.path):
            raise
    os.unlink(staged.hidden)
    return True


def _remove(path: str, files: FileSystem) -> None:
    with contextlib.suppress(OSError, ResourceError):
        files.remove(path)


register_plain(StagedFile, EmptyFile)
