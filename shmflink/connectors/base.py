"""The contracts of sources (FLIP-27) and sinks (FLIP-143).

A `Source` is a plain picklable description. Its *enumerator* lives in the JobManager and assigns splits to readers on
request; its *readers* live in slots, one per subtask. A `Sink` is a plain picklable description; its *writers* live in
slots.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.schema_metadata import NO_METADATA
from shmflink.core.serialization.plain_values import register_plain
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation
from shmflink.operators.base import OperatorContext, SideOutput

if TYPE_CHECKING:
    import pyarrow as pa

    from shmflink.expressions import Expression

__all__ = [
    "Boundedness",
    "Committer",
    "DeliveryGuarantee",
    "Poll",
    "Sink",
    "SinkWriter",
    "Source",
    "SourceReader",
    "Split",
    "SplitBatch",
    "SplitEnd",
    "SplitEnumerator",
    "is_heir",
]


class Boundedness(enum.Enum):
    """Whether a source ends by itself."""

    BOUNDED = "BOUNDED"
    CONTINUOUS_UNBOUNDED = "CONTINUOUS_UNBOUNDED"


class DeliveryGuarantee(enum.Enum):
    """How often a record becomes visible at its destination if the job restarts (PyFlink: DeliveryGuarantee)."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"
    NONE = "none"


class Poll(enum.Enum):
    """The result of `SourceReader.poll` if there is no batch."""

    WAIT = "wait"  # nothing now: the mailbox will wake the slot
    NEED_SPLIT = "need_split"  # ready for another split
    AGAIN = "again"  # nothing yet, but there is more input to examine: poll again after the other tasks of the slot
    END = "end"  # no more data, ever


@dataclass(frozen=True, slots=True)
class Split:
    """A piece of input that one reader reads.

    `payload` is the connector's own picklable value; `size` is its share of the whole input, in bytes or rows, for
    progress reports.
    """

    split_id: str
    payload: Any
    size: int = 0


@dataclass(frozen=True, slots=True)
class SplitBatch:
    """A batch of one of the splits that a reader reads at the same time."""

    split_id: str
    batch: Batch


@dataclass(frozen=True, slots=True)
class SplitEnd:
    """One of the concurrently read splits has ended: its event time no longer holds anything back."""

    split_id: str


class SplitEnumerator(ABC):
    """Assigns splits; lives in the JobManager, single-threaded; must never block for long."""

    @abstractmethod
    def next_split(self, subtask: int) -> Split | None:
        """The next split for this subtask; None if there is none now."""

    @property
    @abstractmethod
    def is_exhausted(self) -> bool:
        """True when `next_split` will never return a split again."""

    @property
    def progress(self) -> tuple[int, int] | None:
        """(assigned, total) of the whole input, in bytes or rows; None if the total is not known."""
        return None

    @abstractmethod
    def add_splits_back(self, splits: Sequence[Split]) -> None:
        """Takes back the splits of a failed reader; they are assigned before the splits that still wait."""

    @abstractmethod
    def snapshot(self) -> object:
        """Picklable state from which `Source.create_enumerator(..., state)` resumes, at any parallelism.

        It contains the splits that have not been assigned; the others are in the readers' snapshots. It must not be
        None, which means no state.
        """

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Stops threads; called once, when the job has ended."""


class SourceReader(ABC):
    """Reads splits; used by the slot's thread alone."""

    reads_concurrently: bool = False
    """True if splits are read at the same time, as the partitions of a topic. `poll` then returns each batch as a
    `SplitBatch`, and a `SplitEnd` when a split ends; every split has its own watermark, idle timeout and alignment
    (Flink: `ReaderOutput.createOutputForSplit`): `examples/partitioned_log.py`. False: splits are read in the order in
    which they were added.
    """

    @abstractmethod
    def add_split(self, split: Split) -> None: ...

    @abstractmethod
    def no_more_splits(self) -> None: ...

    @abstractmethod
    def poll(self) -> Batch | SplitBatch | SplitEnd | SideOutput | Poll:
        """The next batch (bounded in rows and bytes, never blocking for long), or why there is none.

        A reader of concurrent splits may ask for another split by NEED_SPLIT while it has others; it is polled again
        when the mailbox is woken. A `SideOutput` goes to the readers of the side output with its tag.
        """

    @property
    def splits_begun(self) -> int:
        """How many splits the reader has begun, one after the other; each split has its own watermark."""
        return 0

    def pause_splits(self, paused: frozenset[str]) -> None:  # noqa: B027  for concurrent splits
        """Watermark alignment: until the next call, exactly these of the concurrent splits are not read (Flink:
        `pauseOrResumeSplits`). A reader without this method is paused when all its splits are ahead.
        """

    def snapshot(self) -> Sequence[Split]:
        """The unfinished splits, each with its position: directly after the last batch that `poll` returned.

        Called at a barrier, between two polls; must be short. `add_split` with one of them, in this or another reader,
        resumes there.
        """
        return ()

    def checkpoint_completed(self, checkpoint_id: int) -> None:  # noqa: B027  files and numbers need not be told
        """A snapshot is durable: no earlier input will be requested again. Not called for every snapshot."""

    def stop(self, *, drained: bool) -> None:  # noqa: B027  many have nothing to end
        """`poll` will not be called again, although there may be more input. `drained`: the job will not resume from
        here.
        """

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Frees files and threads; called exactly once."""


class Source(ABC):
    """Description of a source."""

    boundedness: Boundedness = Boundedness.BOUNDED
    gives_timestamps: bool = True
    """False if batches never have timestamps, so that event time needs a timestamp assigner or column."""
    is_replayable: bool = True
    """False if records cannot be read again: after a failure they are lost, so each record is read at most once."""

    split_payloads: tuple[type, ...] = ()
    """The classes of its splits' payloads; empty if not declared. A payload of another class comes from a checkpoint of
    another kind of source.
    """

    @property
    def state_kind(self) -> str:
        """Recorded in checkpoints: only a source of the same kind resumes from the state of this one."""
        return type(self).__name__

    @abstractmethod
    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator: ...

    @abstractmethod
    def create_reader(self, context: OperatorContext) -> SourceReader: ...

    @property
    def produced_type(self) -> TypeInformation | None:
        """The TypeInformation of the rows; None if it is not known."""
        return None

    @property
    def produced_metadata(self) -> pa.Schema:
        """The key-value metadata of the rows and their columns, as an annotated schema (`core.schema_metadata`)."""
        declared = self.produced_type
        return declared.annotations if isinstance(declared, ColumnsTypeInfo) else NO_METADATA

    @property
    def fixed_parallelism(self) -> int | None:
        """1 for a source that cannot be read in parallel, else None."""
        return None

    def with_columns(self, columns: Sequence[str]) -> Source | None:
        """The same source with only these of its columns, in this order; None if it cannot leave any out.

        Called while the graph is built; `columns` are names of `produced_type`, at least one.
        """
        return None

    def with_filter(self, predicate: Expression) -> tuple[Source, bool] | None:
        """The same source without the rows for which `predicate`, over its columns, is not true; None if it cannot
        filter.

        The flag is True if every such row is left out, and False if some may still be returned (files or row groups are
        skipped by their statistics alone). Called before `with_columns`: the predicate's columns need not be among
        those.
        """
        return None

    def side_output_type(self, tag: str) -> TypeInformation | None:
        """The TypeInformation of the readers' side output `tag`; None if it is not known."""
        return None


def is_heir(context: OperatorContext, subtask: int) -> bool:
    """Whether this subtask removes files or tables that earlier attempts of `subtask` left behind."""
    is_gone = subtask >= context.parallelism
    return subtask == context.subtask_index or (is_gone and context.subtask_index == 0)


class SinkWriter(ABC):
    """Writes the batches of one subtask; used by the slot's thread alone.

    Two-phase commit (FLIP-143): at a barrier, `prepare_commit` makes everything written so far durable but not visible
    and returns it as committables. The sink's `Committer` makes these visible once the checkpoint is complete. `finish`
    is followed by one last `prepare_commit`, also in jobs without checkpoints.
    """

    @abstractmethod
    def write(self, batch: Batch) -> None: ...

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        """Called at a barrier; must be short. The function that it returns may block: another thread calls it to obtain
        the committables.

        Committables are picklable values, kept in the checkpoint until they are committed.
        """
        return tuple

    def snapshot(self) -> Callable[[], Sequence[Any]]:
        """Called after `prepare_commit`, in the same way; returns picklable states of the writer, redistributed on a
        restore.

        Not called at a savepoint, from which several jobs may resume: see `prepare_savepoint`.
        """
        return tuple

    def prepare_savepoint(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        """Like `prepare_commit`, but everything written so far becomes a committable."""
        return self.prepare_commit(checkpoint_id)

    @property
    def has_uncommitted(self) -> bool:
        """True while some written rows are not in a committable yet."""
        return False

    @property
    def is_available(self) -> bool:
        """False while the writer cannot accept a batch; it wakes the mailbox when that changes."""
        return True

    def finish(self) -> None:  # noqa: B027  many have nothing to finish
        """Normal end: without a committer, makes all written rows visible. `is_finished` becomes True when that is
        done. `prepare_commit` may follow.
        """

    @property
    def is_finished(self) -> bool:
        return True

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Frees resources; discards unfinished output. Called exactly once."""


class Committer(ABC):
    """Makes committables visible; has a dedicated thread, so it may block."""

    @abstractmethod
    def commit(self, committables: Sequence[Any]) -> None:
        """Commits all of them, in order. Must be idempotent: after a failure it is called again, also with committables
        that it has already committed.

        An exception fails the task; after the restart the same committables are passed again.
        """

    def abandon(self, committables: Sequence[Any]) -> None:  # noqa: B027  many leave it to `remove_leftovers`
        """Frees the resources behind committables of a failed job that no checkpoint contains. Must not raise."""

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Frees connections. Called once."""


class Sink(ABC):
    """Description of a sink."""

    @property
    def state_kind(self) -> str:
        """Recorded in checkpoints: only a sink of the same kind commits what this one has staged."""
        return type(self).__name__

    @abstractmethod
    def create_writer(self, context: OperatorContext) -> SinkWriter:
        """A writer for one subtask, without state."""

    def restore_writer(self, context: OperatorContext, states: Sequence[Any]) -> SinkWriter:
        """A writer that resumes from the states that writers' `snapshot` returned."""
        return self.create_writer(context)

    def create_committer(self, context: OperatorContext) -> Committer | None:
        """The committer; None if the writers make no committables in the job of `context`."""
        return None

    def create_global_committer(self, context: OperatorContext) -> Committer | None:
        """One for the whole sink, in addition to the committers of its subtasks (Flink: `addGlobalCommitter` of a
        post-commit topology). For targets where the output of all subtasks becomes visible in one atomic step: a
        manifest, a table's snapshot.

        Its `commit` is called once per checkpoint, in order, with everything that the committers of all subtasks have
        committed for it: never with a part of it, and never for a checkpoint that did not complete. After a failure it
        is called again and must detect what it has already done. It runs in a separate task of parallelism 1.
        """
        return None

    @property
    def has_global_committer(self) -> bool:
        """Whether the job gets a task for `create_global_committer`."""
        return type(self).create_global_committer is not Sink.create_global_committer

    def remove_leftovers(self, context: OperatorContext, kept: Sequence[Any]) -> None:  # noqa: B027  see above
        """Removes what earlier attempts of this subtask staged, except what `kept` refers to. `kept` has all
        committables and writer states of all subtasks in the restored checkpoint. Subtask 0 also cleans up for subtasks
        that no longer exist. Other subtasks may still run in an older attempt, because a failure may restart only a
        part of the job.

        Called in a thread that may block.
        """

    def with_input_type(self, declared: Any) -> Sink:
        """The same sink for a stream of this TypeInformation (None: not declared)."""
        return self

    def with_input_metadata(self, rows: pa.Schema) -> Sink:
        """The same sink for rows with the metadata of this annotated schema (`core.schema_metadata`)."""
        return self

    def check_target(self, configuration: Mapping[str, str]) -> None:  # noqa: B027  many have nothing to check
        """Checks the sink's destination, in the program's process, before the job is submitted.

        Raises:
            JobGraphError: the job must not start.
        """

    def takes_updates(self, changelog: Changelog) -> bool:
        """Whether the sink accepts updates (rows that replace earlier ones) in STREAMING jobs.

        Otherwise it receives only final rows, at the end of a bounded input; with an unbounded input the job is
        refused. A sink that accepts updates by `changelog.key` receives all updates of a key in one subtask.
        """
        return True

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        """The sink's guarantee in a job with this configuration, provided that its sources can be replayed."""
        return DeliveryGuarantee.AT_LEAST_ONCE

    @property
    def fixed_parallelism(self) -> int | None:
        """1 for a sink that must have one writer, else None."""
        return None


register_plain(Split)
