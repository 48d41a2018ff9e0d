"""Random histories of checkpoints, aborts, failed saves and restarts: every retained checkpoint has all its files."""

from __future__ import annotations

import random

import pytest

from shmflink.checkpoint.handles import KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest, OperatorState, files_of
from shmflink.checkpoint.retention import Retention

SUBTASKS = 3


class History:
    """A job whose subtasks write chains of files into a folder that is a set of names."""

    def __init__(self, seed: int, num_retained: int) -> None:
        self.rng = random.Random(seed)
        self.num_retained = num_retained
        self.retention = Retention(num_retained)
        self.folder: set[str] = set()
        self.manifests: dict[int, Manifest] = {}
        self.next_id = 1
        self.epoch = 1
        self.chains: list[list[StateFile]] = [[] for _ in range(SUBTASKS)]
        self.unfinished: list[tuple[int, list[OperatorSubtaskState]]] = []

    def write(self, checkpoint_id: int, subtask: int) -> OperatorSubtaskState:
        chain = self.chains[subtask]
        if not chain or self.rng.random() < 0.3:
            chain.clear()
        for _ in range(self.rng.randrange(2) if chain else 1):
            path = f"../shared/{self.epoch}-{checkpoint_id}-x-{subtask}-{len(chain)}.arrow"
            assert path not in self.folder
            self.folder.add(path)
            chain.append(StateFile(path, 1, 0))
        return OperatorSubtaskState("x", subtask, (KeyedStateHandle("s", 0, 0, tuple(chain)),))

    def begin(self) -> None:
        """A checkpoint, acknowledged by all or only some; it may end much later."""
        checkpoint_id, self.next_id = self.next_id, self.next_id + 1
        states = []
        for subtask in range(SUBTASKS):
            state = self.write(checkpoint_id, subtask)
            if self.rng.random() < 0.9:  # else the acknowledgement never comes, though the chain has grown
                states.append(state)
                self.retention.acknowledge(checkpoint_id, [state])
        self.unfinished.append((checkpoint_id, states))

    def end(self) -> None:
        if not self.unfinished:
            return
        at = self.rng.randrange(len(self.unfinished))
        checkpoint_id, states = self.unfinished[at]
        if len(states) < SUBTASKS or self.rng.random() < 0.3:
            del self.unfinished[at]
            assert self.retention.abort(checkpoint_id).shared_files == ()
            return
        # As the coordinator does: one that completes ends those that began before it.
        self.unfinished = [pending for pending in self.unfinished if pending[0] > checkpoint_id]
        operator = OperatorState("x", None, "x", 0, SUBTASKS, 1, tuple(states))
        self.manifests[checkpoint_id] = manifest = Manifest(checkpoint_id, "j", "j", 0, CHECKPOINT, (operator,))
        deletions = self.retention.complete(manifest, sorted(self.folder) if self.rng.random() < 0.5 else ())
        for subsumed in deletions.checkpoints:
            del self.manifests[subsumed]
        self.delete(deletions.shared_files)

    def delete(self, paths: tuple[str, ...]) -> None:
        assert len(set(paths)) == len(paths)
        self.folder -= set(paths)

    def restart(self) -> None:
        """The attempt dies; sometimes the JobManager too, which reads its books from the manifests."""
        self.unfinished.clear()
        self.epoch += 1
        if self.rng.random() < 0.5:
            self.retention = Retention(self.num_retained, list(self.manifests.values())[::-1])
        sweep = self.retention.begin_attempt(range(self.next_id), sorted(self.folder))
        assert not set(sweep.checkpoints) & set(self.manifests)
        self.delete(sweep.shared_files)
        assert self.folder == {file.path for manifest in self.manifests.values() for file in files_of(manifest)}
        self.chains = [[] for _ in range(SUBTASKS)]

    def forget(self) -> None:
        if len(self.manifests) > 1:
            damaged = self.rng.choice(list(self.manifests))
            del self.manifests[damaged]
            deletions = self.retention.forget(damaged)
            assert deletions.checkpoints == (damaged,)
            self.delete(deletions.shared_files)
            assert self.retention.forget(damaged).checkpoints == ()

    def check(self) -> None:
        assert tuple(self.manifests) == tuple(self.retention.retained)
        assert len(self.manifests) <= self.num_retained
        for manifest in self.manifests.values():
            missing = {file.path for file in files_of(manifest)} - self.folder
            assert not missing, (manifest.checkpoint_id, missing)


@pytest.mark.parametrize("num_retained", [1, 2, 5])
def test_every_retained_checkpoint_has_all_its_files(num_retained: int) -> None:
    """[C10] References are counted over checkpoints that complete, are aborted, lost and forgotten."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    completed = 0
    for turn in range(60):
        history = History(seed + turn, num_retained)
        for _ in range(120):
            step = history.rng.choices([history.begin, history.end, history.restart, history.forget], [10, 12, 1, 1])
            step[0]()
            history.check()
            # What the next checkpoints will refer to is never deleted either.
            assert all(file.path in history.folder for chain in history.chains for file in chain)
        completed += bool(history.manifests)
    assert completed > 30


def test_files_do_not_pile_up() -> None:
    """What no retained checkpoint refers to goes, once a newer one is complete."""
    history = History(1, 1)
    history.rng = random.Random(2)
    for _ in range(2000):
        history.begin()
        history.end()
        history.check()
    in_chains = {file.path for chain in history.chains for file in chain}
    in_manifests = {file.path for manifest in history.manifests.values() for file in files_of(manifest)}
    newest = max(history.manifests)
    rest = {path for path in history.folder - in_chains - in_manifests if int(path.split("-")[1]) < newest}
    assert len(rest) < 20, sorted(rest)
