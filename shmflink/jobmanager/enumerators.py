"""Performs the enumerator effects of a job machine: user code on the event loop, whose errors become events."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shmflink.errors import CheckpointError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmanager.splits import SplitServer, failure_of
from shmflink.rpc.messages import SourceProgress

__all__ = ["EnumeratorEffect", "Enumerators"]

EnumeratorEffect = ask.OpenEnumerators | ask.ResetReaders | ask.ForgetSplits | ask.CloseEnumerators


class Enumerators:
    """The enumerators of one job, over all its attempts. `feed` receives the results of effects."""

    def __init__(self, graph: JobGraph, feed: Callable[[events.Event], None]) -> None:
        self._graph = graph
        self._feed = feed
        self._splits: SplitServer | None = None

    @property
    def splits(self) -> SplitServer:
        """The enumerators that were opened last."""
        assert self._splits is not None, "the job's enumerators are not open"
        return self._splits

    def progress(self) -> tuple[SourceProgress, ...]:
        """Progress of the sources that know their total."""
        return () if self._splits is None else self._splits.progress()

    def perform(self, effect: EnumeratorEffect) -> None:
        """Performs an effect as documented in `jobmachine.effects`."""
        match effect:
            case ask.OpenEnumerators(states, remembers):
                self._open(states, remembers=remembers)
            case ask.ResetReaders(readers, restored_id):
                for reader in readers:
                    self.splits.reset(reader, restored_id)
            case ask.ForgetSplits(oldest_id):
                self.splits.checkpoint_completed(oldest_id)
            case ask.CloseEnumerators():
                self.close()

    def trigger(self, checkpoint_id: int) -> bool:
        """Takes their states; False if that fails: then the checkpoint must not be triggered."""
        try:
            states = self.splits.snapshot(checkpoint_id)
        except Exception as error:  # an enumerator is user code
            reason = str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
            counts = isinstance(error, (CheckpointError, OSError))
            self._feed(events.TriggerRefused(checkpoint_id, reason, counts))
            return False
        self._feed(events.Triggered(checkpoint_id, states))
        return True

    def close(self) -> None:
        """Ends their threads."""
        splits, self._splits = self._splits, None
        if splits is not None:
            splits.close()

    def _open(self, states: Mapping[str, bytes], *, remembers: bool) -> None:
        self.close()
        try:
            self._splits = SplitServer.of(self._graph, states)
        except Exception as error:  # an enumerator is user code
            self._feed(events.EnumeratorsFailed(failure_of(error)))
            return
        if remembers:
            self._splits.remember_assignments()
        self._feed(events.EnumeratorsOpened())
