"""The operator contract: resumable, one batch at a time.

Nothing may block inside a slot, so handling an input *yields* its outputs lazily; the task pulls the next output only
while its result partitions have room. An operator buffers at most the output that it yields next.

Life cycle (Flink's StreamOperator): unpickled once per subtask, `open` (which restores state), then `process` /
`process_control` in order of arrival, `snapshot_state` between two of them, `finish` at the normal end of all inputs,
`close` always (also when `open` failed, also on cancel).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any, Final

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import Barrier, ControlElement, Element
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.mailbox import Mailbox
from shmflink.core.outbox import Delivery, Outbox
from shmflink.metrics.counters import OperatorCounters
from shmflink.operators.time.processing_time import ProcessingTimeQueue, ProcessingTimeService
from shmflink.state.operator_state import OperatorStateStore
from shmflink.state.snapshots import NOTHING_RESTORED, OperatorSnapshot, RestoredState

__all__ = ["PAUSE", "Operator", "OperatorContext", "SideOutput"]


def _no_note(_checkpoint_id: int) -> None:
    return


@dataclass(slots=True)
class OperatorContext:
    """What an operator may know about its environment. One per operator and subtask."""

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
    """Identity of the HA directory that keeps the job; empty without one. With the job's id, it identifies
    leftovers.
    """
    epoch: int = 0
    """Epoch of the job's attempt; grows with every attempt, also across restarts of the JobManager: fences zombies."""
    open_outbox: Callable[[str, Mailbox, Callable[[Any], None]], Delivery] = Outbox
    """Creates an outbox for blocking calls: name, mailbox to wake, what to do with each item."""
    note_commit: Callable[[int], None] = _no_note
    """Notes, from any thread, that everything this subtask has in a checkpoint is committed; `committed` of its
    restored state reports it.
    """


@dataclass(frozen=True, slots=True)
class SideOutput:
    """Output for the readers of side output `tag`; dropped if there are none."""

    tag: str
    batch: Batch


PAUSE: Final = SideOutput("", Batch.of_rows([]))
"""Output for nobody: the operator waits for something outside. It is not `is_available` until it can continue."""


class Operator:
    """One step of a chain. Subclasses override what they need; the defaults pass everything on.

    Instances are built in the user's process, pickled into the job graph, and opened in a TaskManager: keep
    per-subtask resources out of `__init__`.
    """

    is_per_record: bool = False
    """Whether user code is called for each record: the task then limits batches to what takes a moment."""
    keeps_batches: bool = False
    """Whether user code receives the batches themselves: they are then not split."""

    def open(self, context: OperatorContext) -> None:
        """Called once before any input."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch | SideOutput]:
        """Yields the results of `batch`. Must not keep `batch` (or views of it) beyond the generator's end."""
        raise NotImplementedError(f"{type(self).__name__} does not define process()")

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        """A watermark, barrier, status or latency marker; the gate has already combined it over its channels.

        First yield the batches that it causes (windows that fire), then the element itself.
        """
        yield element

    def end_input(self, input_index: int) -> Iterator[Batch | SideOutput]:
        """End of one of several inputs; `finish` follows the last (Flink: BoundedMultiInput). Yields what it causes."""
        return iter(())

    def finish(self) -> Iterator[Batch | SideOutput]:
        """End of all inputs: yields what is still buffered."""
        return iter(())

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        """Freezes all state, between two elements; must be short, because the slot waits. The result is written later.

        A savepoint's snapshot holds everything and does not change the base of the next checkpoint's changes. `open`
        restores state, from `OperatorContext.restored`.
        """
        return OperatorSnapshot()

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """The checkpoint, and so every older one, is durable everywhere. Not called for every checkpoint."""

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete."""

    def close(self) -> None:
        """Frees resources; called exactly once, whatever happened before."""

    @property
    def insert_only_method(self) -> str | None:
        """The method that created an operator whose input must be final rows; None: it accepts updates."""
        return None

    @property
    def batch_method(self) -> str | None:
        """The method that created an operator which supports only BATCH mode; None: it supports both modes."""
        return None

    @property
    def changelog(self) -> Changelog | None:
        """The changelog of its rows in STREAMING mode if each replaces an earlier one; None: the same as its
        input's.
        """
        return None

    def with_final_results(self) -> Operator:
        """The same operator emitting only final rows, each once; for operators with a `changelog`."""
        raise NotImplementedError(f"{type(self).__name__} has no updates")

    def fused_with(self, following: Operator) -> Operator | None:
        """One operator that does the work of this one and then of `following`; None if they must stay separate.

        Called when the job graph is built, for chained operators without another consumer in between.
        """
        return None

    @property
    def is_available(self) -> bool:
        """False while the operator cannot take a batch (a blocking client behind a mailbox is busy)."""
        return True

    @property
    def is_slow(self) -> bool:
        """Whether a barrier would have to wait long: its last timers took more than a moment, or all of its calls are
        in flight.
        """
        return False

    @property
    def room(self) -> int | None:
        """The most rows that it should be given at once; None: any number."""
        return None

    @property
    def has_outputs(self) -> bool:
        """Whether `outputs` would yield something that no input has caused: results of calls or commits."""
        return False

    def outputs(self) -> Iterator[Element | SideOutput]:
        """The outputs since the last call that no input has caused. Code that adds to them must wake the mailbox."""
        return iter(())
