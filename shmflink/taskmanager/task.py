"""A task: one attempt of one subtask, run in quanta by its slot's thread.

INITIALIZING -> RUNNING -> FINISHED | FAILED | CANCELED. A quantum takes one input element, or goes on with
what it suspended, and never blocks::

    input gates --poll--> valve / alignment --> operator chain --(lazily)--> result partitions
    (or the source)                                          suspended when `write` gives False, or at a PAUSE
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.connectors.base import Poll, Split
from shmflink.core.batch import Batch
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.elements import (
    MAX_WATERMARK,
    MIN_TIMESTAMP_MS,
    Barrier,
    ControlElement,
    Element,
    EndOfData,
    Watermark,
    WatermarkStatus,
)
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import InternalError
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.metrics.counters import TaskCounters
from shmflink.network.channel import InputGate, ResultPartition
from shmflink.operators.base import SideOutput
from shmflink.operators.processing_time import ProcessingTimeQueue
from shmflink.taskmanager.chain import AT_REST, ChainNode, ChainOutput, drive, emit, finish, nodes_of
from shmflink.taskmanager.checkpoints import (
    NOT_RESTORED,
    TaskCheckpoints,
    TaskRestore,
    restored_watermark,
)
from shmflink.taskmanager.inputs import TaskInputs
from shmflink.taskmanager.listener import TaskListener, TaskState
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.pacing import TaskPace
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.source import SourceOperator

__all__ = ["PUBLISH_INTERVAL_NS", "Task"]

_NO_CHECKPOINTS: Final = CheckpointSettings()
PUBLISH_INTERVAL_NS: Final = 50_000_000  # counters are stored to the status page at least so often


class Task:
    """Used by its slot's thread alone."""

    def __init__(
        self,
        deployment: TaskDeployment,
        head: ChainNode,
        gates: Sequence[tuple[int, InputGate]],
        outputs: Sequence[OutputEnd],
        listener: TaskListener,
        counters: TaskCounters,
        clock: Clock = SYSTEM_CLOCK,
        settings: CheckpointSettings = _NO_CHECKPOINTS,
        restore: TaskRestore = NOT_RESTORED,
    ) -> None:
        """`gates` as (input index of the head, gate); a chain's output indexes count `outputs`."""
        self.deployment = deployment
        self.state = TaskState.DEPLOYING
        self.error: BaseException | None = None
        self.counters = counters
        counters.watermark_ms = MIN_TIMESTAMP_MS
        self._head = head
        self._nodes = list(nodes_of(head))
        self._processing_time = ProcessingTimeQueue(clock)
        for index, node in enumerate(self._nodes):
            node.context.processing_time = self._processing_time.service(index)
        self._outputs = list(outputs)
        self._listener = listener
        self._clock = clock
        self._source = head.operator if isinstance(head.operator, SourceOperator) else None
        self._sinks = [n.operator for n in self._nodes if isinstance(n.operator, SinkOperator)]
        self._busy_nodes = [n.operator for n in self._nodes if n.may_be_busy]
        self._inputs = TaskInputs(gates, blocks=settings.is_exactly_once) if self._source is None else None
        self._settings = settings
        self._restore = restore
        self._is_checkpointed = settings.has_final_checkpoint and not deployment.is_batch
        places = [(edge.edge, c.producer.subtask) for edge in deployment.inputs for c in edge.channels]
        self._places = places
        self._checkpoints = TaskCheckpoints(deployment.subtask, self._nodes, self._inputs, places, listener, clock)
        self._held_splits: list[tuple[int, Split | None, bool]] = []  # first: behind which snapshot each belongs
        self._waits_at_end = False  # for one more checkpoint, whatever there is to commit: the job is drained
        self._has_said_ending = False
        has_partitioner = any(edge.strategy is ShipStrategy.CUSTOM for edge in deployment.outputs)
        self.pace = TaskPace(self._nodes, counters, has_partitioner=has_partitioner)
        self._rest: tuple[int, int, Batch, int] | None = None  # (input index, channel, batch, rows of it processed)
        self._suspended: Iterator[ChainOutput] | None = None
        self._is_at_rest = False
        self._drives_watermark = False  # and nothing else, with what is suspended
        self._blocked: ResultPartition | None = None  # the partition whose `write` or `emit` is suspended
        self._is_ending = False  # all inputs have ended; the chain is being finished, or was
        self._is_drained = True
        self._waiting_since_ns = -1
        self._waits_for_credit = False
        self._published_ns = -1
        if self._source is not None:
            self._source.connect(lambda: listener.split_requested(deployment.subtask))

    # --- life cycle ---

    def open(self) -> None:
        """INITIALIZING, opens the operators, RUNNING. A failure makes the task FAILED; it is not raised."""
        self._change(TaskState.INITIALIZING)
        try:
            if not self._restore.is_finished:
                # Downstream first, as in Flink: whoever emits finds its followers open.
                for node in reversed(self._nodes):
                    node.operator.open(node.context)
                self._go_on_from(restored_watermark(self._head.context.restored))
        except (Exception, SystemExit) as error:
            self._fail(error)
            return
        self._waiting_since_ns = self._clock.monotonic_ns()
        self._change(TaskState.RUNNING)

    def _go_on_from(self, watermark_ms: int) -> None:
        """Takes up event time and what was under way at a checkpoint."""
        elements = list(self._restore.elements(self._places))
        if watermark_ms != MIN_TIMESTAMP_MS:
            self.counters.watermark_ms = watermark_ms
            again = emit if self._source is not None else drive
            self._suspended = again(self._head, Watermark(watermark_ms))
        if self._source is not None:
            self._source.restore_watermark(watermark_ms)
        else:
            assert self._inputs is not None
            self._inputs.restore(watermark_ms, elements)

    def cancel(self) -> None:
        """Stops at once, without finishing. Nothing happens when the task has ended already."""
        if not self.state.is_terminal:
            self._close()
            self._change(TaskState.CANCELED)

    @property
    def outputs(self) -> tuple[OutputEnd, ...]:
        """For a look from outside."""
        return tuple(self._outputs)

    @property
    def is_terminal(self) -> bool:
        return self.state.is_terminal

    # --- scheduling ---

    def is_runnable(self) -> bool:
        """True when `run_quantum` would make progress now."""
        if self.state is not TaskState.RUNNING:
            return False
        try:
            return self._is_runnable()
        except (Exception, SystemExit) as error:
            self._fail(error)
            return False

    def _is_runnable(self) -> bool:
        return (self._inputs is not None and self._inputs.can_take_ahead) or self._can_go_on()

    def _can_go_on(self) -> bool:
        if self._blocked is not None:
            return not self._blocked.is_blocked
        if self._suspended is not None:
            return self._has_room()
        if self._checkpoints.has_begin:
            return True
        if self._is_ending:
            return self._can_complete()
        if self._processing_time.is_due:
            return self._has_room()
        if self._restore.is_finished and self._source is not None:
            return True
        if self._source is not None:
            return self._source.has_input and self._has_room()
        assert self._inputs is not None
        return (self._rest is not None or self._inputs.is_available) and self._has_room()

    @property
    def is_backpressured(self) -> bool:
        """True while the task is held up by an output without credit or by a busy operator, as a sink's
        writer.
        """
        if self._blocked is not None:
            return self._blocked.is_blocked
        return any(not operator.is_available for operator in self._busy_nodes)

    def wake(self) -> None:
        """Something outside may have changed (a mailbox was woken)."""
        if self._source is not None:
            self._source.wake()
        if self.state is TaskState.RUNNING:
            try:
                for sink in self._sinks:
                    sink.raise_failure()
            except (Exception, SystemExit) as error:
                self._fail(error)

    def assign_split(self, split: Split | None, *, exhausted: bool) -> None:
        """The answer to a split request."""
        if self._source is None:
            raise InternalError(f"{self.deployment.task_name} is no source and asked for no split")
        behind = self._checkpoints.last_begin_id
        if behind is not None:
            self._held_splits.append((behind, split, exhausted))
        elif self.state is TaskState.RUNNING:
            self._assign(split, exhausted)

    def _assign(self, split: Split | None, exhausted: bool) -> None:
        assert self._source is not None
        try:
            self._source.assign(split, exhausted=exhausted)
        except (Exception, SystemExit) as error:
            self._fail(error)

    def align(self, limit_ms: int) -> None:
        """The source shall not read on while its watermark is beyond this."""
        if self._source is not None and self.state is TaskState.RUNNING:
            self._source.align(limit_ms)

    # --- checkpoints: called in the slot's thread ---

    def trigger_checkpoint(self, barrier: Barrier, *, stops: bool) -> None:
        """The JobManager begins a checkpoint; after one that `stops` a source reads nothing more until it is over."""
        if self.state is TaskState.RUNNING and not self._restore.is_finished:
            self._checkpoints.trigger(barrier, stops=stops, is_slow=self.pace.is_slow)

    def checkpoint_completed(self, checkpoint_id: int, *, stops: bool) -> None:
        """It is durable everywhere. With `stops` the job ends here, without draining: what a task writes after it comes
        again from there.
        """
        if self.state is not TaskState.RUNNING or self._restore.is_finished:
            return
        try:
            for node in self._nodes:
                node.operator.checkpoint_completed(checkpoint_id)
            if stops:
                self._waits_at_end = self._is_drained = False
                if self._source is not None and not self._is_ending:
                    self._source.end(drained=False)
        except (Exception, SystemExit) as error:
            self._fail(error)

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """It will never complete."""
        if self.state is not TaskState.RUNNING:
            return
        self._checkpoints.abort(checkpoint_id)
        if self._source is not None and self._checkpoints.stops_id == checkpoint_id:
            self._checkpoints.stops_id = None
            self._source.hold(False)
        self._release_splits()
        for node in self._nodes:
            node.operator.checkpoint_aborted(checkpoint_id)

    def drain(self) -> None:
        """A source ends as if its input had ended; every task waits at its end for one more checkpoint, but for those
        that have said that they are there: the next one is theirs, or they had theirs already. One that was restored
        as finished has neither input nor anything to commit.
        """
        if self.state is TaskState.RUNNING and not self._has_said_ending and not self._restore.is_finished:
            self._waits_at_end = True
            self._is_checkpointed = True
            if self._source is not None and not self._is_ending:
                self._source.end(drained=True)

    def run_quantum(self) -> None:
        """One input element or one suspended output. A failure makes the task FAILED; it is not raised."""
        start_ns = self._clock.monotonic_ns()
        self._count_waiting(start_ns)
        try:
            self._step()
            end_ns = self._clock.monotonic_ns()
            if not self.state.is_terminal:
                self._flush_due(end_ns)
        except (Exception, SystemExit) as error:
            self._fail(error)
            return
        if self.state.is_terminal:
            return
        self.counters.busy_ns += end_ns - start_ns
        self._waiting_since_ns = end_ns
        self._waits_for_credit = self.is_backpressured
        if end_ns - self._published_ns >= PUBLISH_INTERVAL_NS:
            self._publish(end_ns)

    def flush(self) -> None:
        """Ships what waits in open segments when the task is out of input, except where only full ones are shipped.

        A task that is held up by one channel has more to put into the others' segments: shipping those half full
        would cost their consumers a batch each. The buffer timeout ships them if it lasts.
        """
        if self._blocked is not None:
            return
        for output in self._outputs:
            output.flush()

    def next_deadline_ns(self) -> int:
        """When `flush_due` has something to do; -1 = not before something else happens."""
        dues = [o.pending_since_ns + o.buffer_timeout_ns for o in self._outputs if o.pending_since_ns >= 0]
        timer_ns = self._processing_time.deadline_ns()
        if timer_ns >= 0 and self._suspended is None and self._blocked is None:
            dues.append(timer_ns)
        return min(dues) if dues else -1

    def flush_due(self) -> None:
        """Ships what has waited for its buffer timeout; counts the time that passed."""
        now_ns = self._clock.monotonic_ns()
        self._count_waiting(now_ns)
        if not self.state.is_terminal:
            self._flush_due(now_ns)
            self._publish(now_ns)

    # --- one step ---

    def _step(self) -> None:
        if self._inputs is not None and self._inputs.can_take_ahead:
            self._checkpoints.take_ahead(self._inputs)
            if not self._can_go_on():
                return
        if self._blocked is not None:
            if not self._blocked.resume():
                return
            self._blocked = None
        if self._suspended is None:
            self._suspended = self._next_checkpoint()
        elif self._is_at_rest and self._drives_watermark and (barrier := self._next_checkpoint()) is not None:
            self._is_at_rest = False
            self._suspended = chain(barrier, self._suspended)
        if self._suspended is None:
            if self._is_ending:
                self._complete()
                return
            self._drives_watermark = False
            self._suspended = self._next_input()
        self.counters.progress += 1
        if self._suspended is not None:
            self._pull(self._suspended)
        if self._suspended is None and self._blocked is None and self._is_ending and self._can_complete():
            self._complete()

    def _pull(self, outputs: Iterator[ChainOutput]) -> None:
        """Goes on until the outputs end, one does not go through, or the chain pauses."""
        counters = self.counters
        self._is_at_rest = False
        for index, element in outputs:
            if index < 0:
                self._is_at_rest = index == AT_REST
                return
            assert element is not None
            partition = self._outputs[index].partition
            if isinstance(element, Batch):
                counters.records_out += element.num_rows
                counters.batches_out += 1
                is_done = partition.write(element)
            else:
                is_done = partition.emit(element)
            if not is_done:
                self._blocked = partition
                return
        self._suspended = None

    def _next_checkpoint(self) -> Iterator[ChainOutput] | None:
        """A checkpoint that this task begins by itself."""
        while self._checkpoints.has_begin:
            barrier = self._checkpoints.take_begin()
            if barrier is not None:
                return self._checkpoint(barrier)
            self._release_splits()
        return None

    def _next_input(self) -> Iterator[ChainOutput] | None:
        """What comes of the next timer, input element or piece of a batch; None when it has no outputs."""
        self.pace.ended()
        if self._restore.is_finished and self._source is not None:
            return self._end(is_drained=True)
        if self._processing_time.is_due:
            operator, outputs = self._processing_time.take()
            return self._emit_all(self._nodes[operator], outputs)
        if self._source is not None:
            return self._poll_source(self._source)
        assert self._inputs is not None
        if self._rest is not None:
            return self._piece(*self._rest)
        taken = self._inputs.poll()
        if taken is None:
            return None
        input_index, channel, element = taken
        if self._restore.is_finished:
            return self._control(channel, element) if isinstance(element, EndOfData) else None
        is_recorded = self._inputs.is_recorded(channel) and not self._inputs.was_ahead
        if is_recorded and not isinstance(element, (Barrier, EndOfData)):
            self._checkpoints.record(channel, element)
        if isinstance(element, Batch):
            self.counters.records_in += element.num_rows
            self.counters.batches_in += 1
            return self._piece(input_index, channel, element, 0)
        return self._control(channel, element)

    def _piece(self, input_index: int, channel: int, batch: Batch, start: int) -> Iterator[ChainOutput]:
        """As many rows as take a moment; barriers and timers come between two pieces."""
        rows = min(batch.num_rows - start, self.pace.rows_max)
        self.pace.begins(rows)
        stop = start + rows
        self._rest = (input_index, channel, batch, stop) if stop < batch.num_rows else None
        return drive(self._head, batch if rows == batch.num_rows else batch.slice(start, rows), input_index)

    def _poll_source(self, source: SourceOperator) -> Iterator[ChainOutput] | None:
        counters = self._head.context.counters
        began_ns = self._clock.monotonic_ns()
        answer = source.poll(self.pace.rows_max)
        counters.busy_ns += self._clock.monotonic_ns() - began_ns
        if isinstance(answer, Batch):
            self.pace.begins(answer.num_rows)
            if not self._outputs:  # a job in one task: show that it reads
                self.counters.records_out += answer.num_rows
                self.counters.batches_out += 1
            return self._emit_all(self._head, source.elements(answer))
        if isinstance(answer, SideOutput):
            return emit(self._head, answer)
        if answer is Poll.END:
            return self._end(is_drained=self._is_drained)
        return None

    def _emit_all(self, node: ChainNode, outputs: Iterator[Element | SideOutput]) -> Iterator[ChainOutput]:
        """Outputs that no input element caused; a source's own watermarks are counted."""
        for output in outputs:
            if node.operator is self._source:
                if isinstance(output, Watermark):
                    self.counters.watermark_ms = output.timestamp_ms
                elif isinstance(output, WatermarkStatus):
                    self.counters.is_idle = int(output.idle)
            yield from emit(node, output)

    def _control(self, channel: int, element: ControlElement) -> Iterator[ChainOutput] | None:
        assert self._inputs is not None
        if isinstance(element, (Watermark, WatermarkStatus)):
            return self._forward(self._inputs.combine(channel, element))
        if isinstance(element, Barrier):
            aligned = self._checkpoints.effects(self._inputs.barrier(channel, element))
            return None if aligned is None else self._checkpoint(aligned)
        if isinstance(element, EndOfData):
            self._is_drained &= element.drained
            aligned = self._checkpoints.effects(self._inputs.end_of_data(channel))
            snapshot = iter(()) if aligned is None else self._checkpoint(aligned)
            return chain(snapshot, self._end(is_drained=self._is_drained)) if self._inputs.has_ended else snapshot
        return drive(self._head, element)

    def _forward(self, elements: Sequence[Element]) -> Iterator[ChainOutput] | None:
        """Watermarks and statuses that the valve passes on."""
        for element in elements:
            if isinstance(element, Watermark):
                self.counters.watermark_ms = element.timestamp_ms
        if len(elements) == 1:
            self._drives_watermark = isinstance(elements[0], Watermark)
            return drive(self._head, elements[0])
        return (output for element in elements for output in drive(self._head, element)) if elements else None

    def _checkpoint(self, barrier: Barrier) -> Iterator[ChainOutput]:
        """Freezes the operators and passes the barrier on; where the outputs have ended, they need none."""
        if self._source is not None and self._checkpoints.stops_id == barrier.checkpoint_id:
            self._source.hold(True)
        watermark_ms = self.counters.watermark_ms
        rest = None
        if self._rest is not None:
            _, channel, batch, start = self._rest
            rest = channel, batch.slice(start, batch.num_rows - start)
        yield from self._checkpoints.snapshot(self._head, barrier, watermark_ms, rest, passes=not self._is_ending)
        self._release_splits()

    def _release_splits(self) -> None:
        """Those that do not wait for another snapshot, which may be due already."""
        while self._held_splits and not self._checkpoints.is_to_begin(self._held_splits[0][0]):
            _, split, exhausted = self._held_splits.pop(0)
            if self.state is TaskState.RUNNING:
                self._assign(split, exhausted)

    def _end(self, *, is_drained: bool) -> Iterator[ChainOutput]:
        """No input follows: MAX_WATERMARK where no upstream sent it, then the operators finish, then
        EndOfData.
        """
        self._is_ending = True
        self._processing_time.clear()
        self._checkpoints.inputs_ended()
        if is_drained and not self._restore.is_finished:
            if self.counters.watermark_ms != MAX_WATERMARK.timestamp_ms:
                self.counters.watermark_ms = MAX_WATERMARK.timestamp_ms
                source_like = emit if self._source is not None else drive
                yield from source_like(self._head, MAX_WATERMARK)
            yield from finish(self._head)
        for index in range(len(self._outputs)):
            if self._restore.is_finished:
                yield index, MAX_WATERMARK
            yield index, EndOfData(is_drained)

    def _complete(self) -> None:
        """After everything was handed on: FINISHED, as soon as no sink has anything to write or to commit."""
        if self._must_say_ending():
            self._has_said_ending = True
            if self._is_checkpointed:
                self._listener.task_ending(self.deployment.subtask)
            else:
                self._checkpoints.final_snapshot([n for n in self._nodes if isinstance(n.operator, SinkOperator)])
        elif not self._waits_for_commit() and all(sink.is_finished for sink in self._sinks):
            self._close()
            self._change(TaskState.FAILED if self.error else TaskState.FINISHED, self.error)

    def _can_complete(self) -> bool:
        """Whether `_complete` has something to do."""
        if self._must_say_ending():
            return True
        return not self._waits_for_commit() and all(sink.is_finished for sink in self._sinks)

    def _must_say_ending(self) -> bool:
        return self._waits_for_commit() and not self._has_said_ending

    def _waits_for_commit(self) -> bool:
        """For one more checkpoint, or without checkpoints for the end of all other tasks."""
        if self._restore.is_finished:
            return False
        if not self._is_drained:
            return False  # a savepoint stopped the job: what was written after it comes again from there
        return self._waits_at_end or any(sink.needs_commit for sink in self._sinks)

    def _has_room(self) -> bool:
        """False while an operator of the chain could not take a batch."""
        return all(operator.is_available for operator in self._busy_nodes) if self._busy_nodes else True

    # --- bookkeeping ---

    def _flush_due(self, now_ns: int) -> None:
        for output in self._outputs:
            output.flush_due(now_ns)

    def _count_waiting(self, now_ns: int) -> None:
        """Books the time since the last quantum; time in which only the slot was missing counts as idle."""
        waited_ns = now_ns - self._waiting_since_ns
        self._waiting_since_ns = now_ns
        if self._waits_for_credit:
            self.counters.backpressured_ns += waited_ns
        else:
            self.counters.idle_ns += waited_ns

    def _publish(self, now_ns: int) -> None:
        self._published_ns = now_ns
        self._publish_counters()

    def _publish_counters(self) -> None:
        self._count_bytes()
        self.counters.publish()
        for node in self._nodes:
            node.context.counters.publish()

    def _count_bytes(self) -> None:
        counters = self.counters
        counters.bytes_out = sum(output.partition.bytes_out for output in self._outputs)
        if self._inputs is not None:
            counters.bytes_in = self._inputs.bytes_in
            counters.retained_copies = self._inputs.retained_copies

    def _change(self, state: TaskState, error: BaseException | None = None) -> None:
        self.state = state
        self._listener.task_state_changed(self.deployment.subtask, state, error)

    def _fail(self, error: BaseException) -> None:
        """The first cause is reported, once."""
        self.error = error
        self._close()
        self._change(TaskState.FAILED, error)

    def _close(self) -> None:
        """Closes operators in chain order, then outputs and inputs. Later errors must not hide the first one."""
        self._suspended = self._rest = None
        self._publish_counters()
        closers = [node.operator.close for node in self._nodes]
        closers += [output.partition.close for output in self._outputs]
        if self._inputs is not None:
            closers.append(self._inputs.close)
        for close in closers:
            try:
                close()
            except Exception as error:
                if self.error is None:
                    self.error = error
