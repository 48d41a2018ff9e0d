"""The operator contract: resumable, batch at a time.

Nothing may block inside a slot, so handling an input *yields* its outputs lazily; the task pulls the next one only
while its result partitions have room. An operator buffers at most the output it is about to yield.

Life cycle (Flink's StreamOperator): unpickled once per subtask, `open` (which restores state), then `process` /
`process_control` in order of arrival, `snapshot_state` between two of them, `finish` at the normal end of all inputs,
`close` always (also when `open` failed, also on cancel).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import Barrier, ControlElement, Element
from shmflink.core.mailbox import Mailbox
from shmflink.core.outbox import Delivery, Outbox
from shmflink.metrics.counters import OperatorCounters
from shmflink.operators.time.processing_time import ProcessingTimeQueue, ProcessingTimeService
from shmflink.state.operator_state import OperatorStateStore
from shmflink.state.snapshots import NOTHING_RESTORED, OperatorSnapshot, RestoredState

__all__ = ["Operator", "OperatorContext", "SideOutput"]


def _no_note(_checkpoint_id: int) -> None:
    return


@dataclass(slots=True)
class OperatorContext:
    """What an operator may know of its surroundings. One per operator and subtask."""

    operator_name: str
    operator_id: str
    task_name: str
    subtask_index: int
    parallelism: int
    max_parallelism: int
    attempt: int
    is_batch: bool
    configuration: dict[str, str]
    mailbox: Mailbox
    clock: Any
    metrics: Any = None
    job_parameters: dict[str, str] = field(default_factory=dict)
    counters: OperatorCounters = field(default_factory=OperatorCounters)
    operator_state: OperatorStateStore = field(default_factory=OperatorStateStore)
    processing_time: ProcessingTimeService = field(default_factory=lambda: ProcessingTimeQueue().service(0))
    key_groups: range = range(0)
    restored: RestoredState = NOTHING_RESTORED
    job_id: str = ""
    ha_identity: str = ""
    """Of the HA directory that keeps the job; empty without one. With the job's id it says whose a leftover is."""
    epoch: int = 0
    """Of the job's attempt; grows with every one, also over restarts of the JobManager: what fences zombies off."""
    open_outbox: Callable[[str, Mailbox, Callable[[Any], None]], Delivery] = Outbox
    """Makes what blocks run elsewhere: name, mailbox to wake, what is done with each item."""
    note_commit: Callable[[int], None] = _no_note
    """Writes down, in any thread, that all that this subtask has in a checkpoint is committed: `committed` of its
    restored state says so again.
    """


@dataclass(frozen=True, slots=True)
class SideOutput:
    """What an operator yields for those who read its side output `tag`; dropped when nobody does."""

    tag: str
    batch: Batch


class Operator:
    """One step of a chain. Subclasses override what they need; the defaults pass everything on.

    Instances are built in the user's process, pickled into the job graph, and opened in a TaskManager: keep
    per-subtask resources out of `__init__`.
    """

    is_per_record: bool = False
    """True where user code is called for each record: the task gives it as many at once as take a moment."""
    is_slow_at_timers: bool = False
    """True where what its timers did last took more than a moment: a barrier would wait for those that are due."""
    keeps_batches: bool = False
    """True where the batches themselves are what user code is called with: they are not cut."""

    def open(self, context: OperatorContext) -> None:
        """Called once before any input."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch | SideOutput]:
        """Yields what comes of `batch`. Must not keep `batch` (or views of it) beyond the generator's end."""
        raise NotImplementedError(f"{type(self).__name__} does not define process()")

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        """A watermark, barrier, status or latency marker; the gate has already combined it over its channels.

        Yield batches that it causes (windows that fire) first, the element itself last.
        """
        yield element

    def finish(self) -> Iterator[Batch | SideOutput]:
        """End of all inputs: yields what is still held back."""
        return iter(())

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        """Freezes all state, between two elements; short, because the slot waits. What comes back is written later.

        A savepoint's snapshot holds everything and leaves alone what the next checkpoint's changes count from. State is
        restored in `open`, from `OperatorContext.restored`.
        """
        return OperatorSnapshot()

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """The checkpoint, and so all older ones, is durable everywhere. Not called for every one."""

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete."""

    def close(self) -> None:
        """Frees resources; called exactly once, whatever happened before."""

    @property
    def insert_only_method(self) -> str | None:
        """How the user's program calls an operator whose input must be rows that stand; None: it takes updates, too."""
        return None

    @property
    def changelog(self) -> Changelog | None:
        """What its rows are in STREAMING mode where each replaces an earlier one; None: they are what comes in is."""
        return None

    def with_final_results(self) -> Operator:
        """The same operator with final rows alone, each once; for those that have a `changelog`."""
        raise NotImplementedError(f"{type(self).__name__} has no updates")

    def fused_with(self, following: Operator) -> Operator | None:
        """One operator that does what this one and then `following` do; None where they stay two.

        Asked when the job graph is built, for operators that are chained and have nobody else in between.
        """
        return None

    @property
    def is_available(self) -> bool:
        """False while the operator could not take a batch now (a blocking client behind a mailbox is busy)."""
        return True
