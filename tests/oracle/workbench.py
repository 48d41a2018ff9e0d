"""Parts for tasks built by hand: recording partitions and listeners, sources and sinks of the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shmflink.connectors.base import Poll, Sink, SinkWriter, Source, SourceReader, Split, SplitEnumerator
from shmflink.core.batch import Batch
from shmflink.core.elements import Element
from shmflink.core.ids import SubtaskId
from shmflink.graph.execution_graph import ChannelDeployment, InputDeployment, TaskDeployment
from shmflink.metrics.counters import TaskCounters
from shmflink.network.channel import InputGate
from shmflink.network.local import LocalChannel, LocalInputGate
from shmflink.operators.base import Operator, OperatorContext
from shmflink.taskmanager.chain import ChainNode
from shmflink.taskmanager.listener import TaskState
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.task import Task
from shmflink.taskmanager.task_states import TaskSnapshot
from shmflink.testing import ManualClock


@dataclass
class RecordingListener:
    """Remembers what tasks tell."""

    states: list[tuple[SubtaskId, TaskState]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    requests: list[SubtaskId] = field(default_factory=list)
    snapshots: list[TaskSnapshot] = field(default_factory=list)
    given_up: list[tuple[SubtaskId, int, str]] = field(default_factory=list)
    endings: list[SubtaskId] = field(default_factory=list)

    def task_state_changed(self, subtask: SubtaskId, state: TaskState, error: BaseException | None) -> None:
        self.states.append((subtask, state))
        if error is not None:
            self.errors.append(error)

    def split_requested(self, subtask: SubtaskId) -> None:
        self.requests.append(subtask)

    def snapshot_taken(self, snapshot: TaskSnapshot) -> None:
        self.snapshots.append(snapshot)

    def snapshot_given_up(self, subtask: SubtaskId, checkpoint_id: int, reason: str) -> None:
        self.given_up.append((subtask, checkpoint_id, reason))

    def task_ending(self, subtask: SubtaskId) -> None:
        self.endings.append(subtask)


class RecordingPartition:
    """Takes as many batches as it has credits; `holds_back`: has pending rows until flushed."""

    def __init__(self, credits: int = 1_000_000, *, holds_back: bool = False) -> None:  # noqa: A002 - the field's word
        self.credits = credits
        self.elements: list[Element] = []
        self.is_closed = False
        self.flushes = 0
        self._holds_back = holds_back
        self._pending = False
        self._suspended: Batch | None = None

    def write(self, batch: Batch) -> bool:
        assert self._suspended is None
        self._suspended = batch
        return self.resume()

    def resume(self) -> bool:
        if self._suspended is None:
            return True
        if not self.credits:
            return False
        self.credits -= 1
        self.elements.append(self._suspended)
        self._suspended = None
        self._pending = self._holds_back
        return True

    def flush(self) -> None:
        self.flushes += 1
        self._pending = False

    def emit(self, element: Any) -> bool:
        assert self._suspended is None
        self.elements.append(element)
        return True

    @property
    def is_blocked(self) -> bool:
        return self._suspended is not None and not self.credits

    @property
    def has_pending(self) -> bool:
        return self._pending

    @property
    def bytes_out(self) -> int:
        return 100 * len(self.elements)

    def close(self) -> None:
        self.is_closed = True

    def rows(self) -> list[Any]:
        return [row for e in self.elements if isinstance(e, Batch) for row in e.rows()]


class ListSource(Source):
    """Polls give the scripted answers one after the other, END at the end."""

    def __init__(self, script: Sequence[Any]) -> None:
        self.script = list(script)
        self.splits: list[Any] = []
        self.is_closed = False

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        raise AssertionError("no enumerator in these tests")

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return _ScriptReader(self)


class _ScriptReader(SourceReader):
    def __init__(self, source: ListSource) -> None:
        self._source = source

    def add_split(self, split: Split) -> None:
        self._source.splits.append(split)

    def no_more_splits(self) -> None:
        self._source.splits.append("no more")

    def poll(self) -> Batch | Poll:
        answer = self._source.script.pop(0) if self._source.script else Poll.END
        if isinstance(answer, BaseException):
            raise answer
        return Batch.of_rows(answer) if isinstance(answer, list) else answer

    def close(self) -> None:
        self._source.is_closed = True


class ListSink(Sink):
    """A sink whose writer the test controls."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.is_available = True
        self.is_finished = True
        self.events: list[str] = []

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _ListWriter(self)


class _ListWriter(SinkWriter):
    def __init__(self, sink: ListSink) -> None:
        self._sink = sink

    def write(self, batch: Batch) -> None:
        assert self._sink.is_available, "written to while busy"
        self._sink.rows += batch.rows()

    @property
    def is_available(self) -> bool:
        return self._sink.is_available

    @property
    def is_finished(self) -> bool:
        return self._sink.is_finished

    def finish(self) -> None:
        self._sink.events.append("finish")

    def close(self) -> None:
        self._sink.events.append("close")


class Workbench:
    """Builds tasks out of live operators."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.listener = RecordingListener()
        self.wakes = 0

    def put(self, action: Any) -> None:
        action()

    def wake(self) -> None:
        self.wakes += 1

    def node(self, operator: Operator, *children: ChainNode, partitions: Sequence[int] = ()) -> ChainNode:
        context = OperatorContext(
            operator_name=type(operator).__name__,
            operator_id="0" * 32,
            task_name="Task",
            subtask_index=0,
            parallelism=1,
            max_parallelism=128,
            attempt=0,
            is_batch=False,
            configuration={},
            mailbox=self,
            clock=self.clock,
        )
        return ChainNode(operator, context, list(children), list(partitions))

    def task(
        self,
        head: ChainNode,
        gates: Sequence[InputGate] = (),
        outputs: Sequence[OutputEnd] = (),
        vertex: int = 0,
        subtask: int = 0,
        **options: Any,
    ) -> Task:
        this = SubtaskId(vertex, subtask)
        edges = tuple(
            InputDeployment(
                edge,
                0,
                True,
                tuple(ChannelDeployment(SubtaskId(9, c), this, 0, 0, -1) for c in range(gate.num_channels)),
            )
            for edge, gate in enumerate(gates)
        )
        deployment = TaskDeployment(this, 0, 1, f"Vertex {vertex}", 1, 128, 0, 0, False, (), edges, ())
        inputs = [(0, gate) for gate in gates]
        return Task(deployment, head, inputs, outputs, self.listener, TaskCounters(), self.clock, **options)

    def gate(self, channels: int = 1) -> tuple[list[LocalChannel], LocalInputGate]:
        made = [LocalChannel(100) for _ in range(channels)]
        return made, LocalInputGate(made)


def run_to_end(task: Task, limit: int = 1000) -> None:
    """Quanta until nothing is runnable."""
    for _ in range(limit):
        if not task.is_runnable():
            return
        task.run_quantum()
    raise AssertionError(f"the task is still runnable after {limit} quanta")
