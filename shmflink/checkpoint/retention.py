"""Which checkpoints and shared files may be deleted. Pure: it decides, others delete.

Checkpoints, finished and unfinished, refer to shared files. A subtask extends its chain of files in order: once one of
its checkpoints does not refer to a file, no later one refers to it again. Hence the rule (Flink's
SharedStateRegistry): a file is garbage if the newest checkpoint that refers to it is older than the oldest retained
one. Every file to which a checkpoint refers was written for that checkpoint or for an older one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shmflink.checkpoint.handles import OperatorSubtaskState
from shmflink.checkpoint.manifest import Manifest, files_of, files_of_subtask
from shmflink.checkpoint.state_files import created_at
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["Deletions", "Retention", "is_shared"]


@dataclass(frozen=True, slots=True)
class Deletions:
    """Folders of checkpoints, by id, and shared files, as manifests name them. Delete in this order."""

    checkpoints: tuple[int, ...] = ()
    shared_files: tuple[str, ...] = ()


class Retention:
    """Keeps track of one job's files across all its attempts."""

    def __init__(self, num_retained: int, manifests: Iterable[Manifest] = ()) -> None:
        """`manifests`: of the checkpoints in the job's folder, in any order; the references are rebuilt from them."""
        assert num_retained >= 1, num_retained
        self._num_retained = num_retained
        self._retained = {m.checkpoint_id: _shared_paths(m) for m in sorted(manifests, key=lambda m: m.checkpoint_id)}
        self._last_used: dict[str, int] = {}
        for checkpoint_id, paths in self._retained.items():
            self._use(paths, checkpoint_id)

    @property
    def retained(self) -> Sequence[int]:
        """Checkpoints that must stay, oldest first."""
        return tuple(self._retained)

    def acknowledge(self, checkpoint_id: int, states: Iterable[OperatorSubtaskState]) -> None:
        """A task's part is durable: its shared files stay, whatever happens to the checkpoint."""
        for state in states:
            self._use((file.path for file in files_of_subtask(state) if is_shared(file.path)), checkpoint_id)

    def complete(self, manifest: Manifest, shared_files: Iterable[str] = ()) -> Deletions:
        """A checkpoint is durable. Its deletions are performed after that, never before (C10).

        `shared_files`: those in the folder, as manifests name them. Some of them may never have been acknowledged: if
        they were written for a checkpoint older than the oldest retained one, they follow the rule above as well.
        """
        paths = _shared_paths(manifest)
        self._use(paths, manifest.checkpoint_id)
        self._retained = dict(sorted({**self._retained, manifest.checkpoint_id: paths}.items()))
        subsumed = tuple(self._retained)[: -self._num_retained]
        for checkpoint_id in subsumed:
            del self._retained[checkpoint_id]
        unknown = self._never_acknowledged(shared_files)
        return Deletions(subsumed, self._garbage() + unknown)

    def abort(self, checkpoint_id: int) -> Deletions:
        """A checkpoint will never complete. Its shared files stay, because the next one may refer to them."""
        return Deletions((checkpoint_id,))

    def forget(self, checkpoint_id: int) -> Deletions:
        """A retained checkpoint is damaged and must not be used again."""
        if self._retained.pop(checkpoint_id, None) is None:
            return Deletions()
        return Deletions((checkpoint_id,), self._garbage())

    def begin_attempt(self, checkpoints: Iterable[int], shared_files: Iterable[str]) -> Deletions:
        """Everything in the job's folder that is in no retained checkpoint: leftovers of past attempts.

        Call it only while no task of the job runs. `shared_files` as manifests name them.
        """
        referred = frozenset[str]().union(*self._retained.values())
        self._last_used = {path: used for path, used in self._last_used.items() if path in referred}
        gone = tuple(checkpoint_id for checkpoint_id in checkpoints if checkpoint_id not in self._retained)
        return Deletions(gone, tuple(path for path in shared_files if path not in referred))

    def _use(self, paths: Iterable[str], checkpoint_id: int) -> None:
        for path in paths:
            self._last_used[path] = max(checkpoint_id, self._last_used.get(path, checkpoint_id))

    def _garbage(self) -> tuple[str, ...]:
        if not self._retained:
            return ()
        oldest = next(iter(self._retained))
        garbage = tuple(path for path, used in self._last_used.items() if used < oldest)
        for path in garbage:
            del self._last_used[path]
        return garbage

    def _never_acknowledged(self, shared_files: Iterable[str]) -> tuple[str, ...]:
        oldest = next(iter(self._retained))
        unknown = (path for path in shared_files if path not in self._last_used)
        return tuple(path for path in unknown if (created := created_at(path)) is not None and created < oldest)


def is_shared(path: str) -> bool:
    """Whether a manifest's path is outside the checkpoint's own folder."""
    return path.startswith("../")


def _shared_paths(manifest: Manifest) -> frozenset[str]:
    return frozenset(file.path for file in files_of(manifest) if is_shared(file.path))
