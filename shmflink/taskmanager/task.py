"""A task: one attempt of one subtask, run in quanta by its slot's thread.

INITIALIZING -> RUNNING -> FINISHED | FAILED | CANCELED. A quantum takes one input element, or resumes what it
suspended, and never blocks. `_next_action` alone decides what a quantum does and whether there is one::

    feed: input gates, or a source --> operator chain --(lazily)--> result partitions
                                                         suspended when `write` gives False, or at a PAUSE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from itertools import chain
from typing import Final

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.connectors.base import Split
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.elements import MIN_TIMESTAMP_MS, Barrier, Watermark
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import InternalError
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.metrics.counters import TaskCounters
from shmflink.network.channel import InputGate
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.taskmanager.chain import ChainNode, ChainOutput, nodes_of
from shmflink.taskmanager.checkpoints import TaskCheckpoints, restored_watermark
from shmflink.taskmanager.committing import CommittingOperator
from shmflink.taskmanager.feed import Feed, RunningFeed, TaskParts
from shmflink.taskmanager.finished_feed import FinishedGateFeed, FinishedSourceFeed
from shmflink.taskmanager.gate_feed import GateFeed
from shmflink.taskmanager.inputs import TaskInputs
from shmflink.taskmanager.listener import TaskListener, TaskState
from shmflink.taskmanager.outputs import OutputEnd, Pulled, TaskOutputs
from shmflink.taskmanager.pacing import TaskPace
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.source import SourceOperator
from shmflink.taskmanager.source_feed import SourceFeed
from shmflink.taskmanager.task_end import EndStep, TaskEnd
from shmflink.taskmanager.task_states import NOT_RESTORED, TaskRestore
from shmflink.taskmanager.task_time import TaskTime

__all__ = ["Task"]

_NO_CHECKPOINTS: Final = CheckpointSettings()


class _Action(Enum):
    """What a quantum does."""

    WAIT = auto()  # nothing can be done now
    RESUME = auto()  # the output whose partition had no credit
    PULL = auto()  # what is suspended
    CHECKPOINT = auto()  # a checkpoint that this task begins by itself
    OUTPUTS = auto()  # what operators emit by themselves: results of calls and of commits
    END = auto()  # the next step at the end of the task
    TIMER = auto()
    INPUT = auto()


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
        self.outputs = TaskOutputs(outputs, counters)
        self._listener = listener
        self._clock = clock
        self._sinks = [n.operator for n in self._nodes if isinstance(n.operator, CommittingOperator)]
        self._emitting = [n.operator for n in self._nodes if n.emits_by_itself]
        self._busy_nodes = [n.operator for n in self._nodes if n.may_be_busy]
        self._restore = restore
        self._places = [(edge.edge, c.producer.subtask) for edge in deployment.inputs for c in edge.channels]
        inputs = TaskInputs(gates, blocks=settings.is_exactly_once) if gates else None
        self._checkpoints = TaskCheckpoints(deployment.subtask, self._nodes, inputs, self._places, listener, clock)
        self._may_overtake = settings.max_concurrent == 1  # it records for one checkpoint at a time
        self._end = TaskEnd(
            is_restored_as_finished=restore.is_finished,
            has_checkpoints=settings.has_final_checkpoint and not deployment.is_batch,
        )
        has_partitioner = any(edge.strategy is ShipStrategy.CUSTOM for edge in deployment.outputs)
        self.pace = TaskPace(self._nodes, counters, has_partitioner=has_partitioner)
        parts = TaskParts(head, counters, self.pace, self._checkpoints, self._end, self._processing_time, len(outputs))
        self._feed = _feed_of(parts, inputs, restore, is_whole_job=not outputs)
        self._source = self._feed if isinstance(self._feed, SourceFeed) else None
        self._time = TaskTime(counters, self._nodes, self._feed, self.outputs)
        self._suspended: Iterator[ChainOutput] | None = None
        self._is_at_rest = False
        self._drives_watermark = False  # and nothing else, with what is suspended
        if isinstance(head.operator, SourceOperator):
            head.operator.connect(lambda: listener.split_requested(deployment.subtask))
        for sink in self._sinks:
            sink.connect(lambda: listener.task_ending(deployment.subtask))

    # --- life cycle ---

    def open(self) -> None:
        """INITIALIZING, opens the operators, RUNNING. A failure makes the task FAILED; it is not raised."""
        self._change(TaskState.INITIALIZING)
        try:
            if isinstance(self._feed, RunningFeed):
                # Downstream first, as in Flink: an operator that emits finds its readers open.
                for node in reversed(self._nodes):
                    node.operator.open(node.context)
                watermark_ms = restored_watermark(self._head.context.restored)
                if watermark_ms != MIN_TIMESTAMP_MS:
                    self.counters.watermark_ms = watermark_ms
                    self._suspended = self._feed.drive(Watermark(watermark_ms))
                self._feed.restore(watermark_ms, list(self._restore.elements(self._places)))
        except (Exception, SystemExit) as error:
            self._fail(error)
            return
        self._time.begins(self._clock.monotonic_ns())
        self._change(TaskState.RUNNING)

    def cancel(self) -> None:
        """Stops at once, without finishing. Nothing happens when the task has ended already."""
        if not self.state.is_terminal:
            self._close()
            self._change(TaskState.CANCELED)

    @property
    def is_terminal(self) -> bool:
        return self.state.is_terminal

    # --- what others tell it ---

    def wake(self) -> None:
        """Something outside may have changed (a mailbox was woken)."""
        if self._source is not None:
            self._source.wake()
        for sink in self._sinks:
            self._try(sink.raise_failure)

    def assign_split(self, split: Split | None, *, exhausted: bool) -> None:
        """The answer to a split request."""

        def assign() -> None:
            if self._source is None:
                raise InternalError(f"{self._head.context.task_name} asked for no split")
            self._source.assign(split, exhausted=exhausted)

        self._try(assign)

    def align(self, limit_ms: int) -> None:
        """The source reads nothing while its watermark is beyond the limit."""
        source = self._source
        if source is not None:
            self._try(lambda: source.align(limit_ms))

    def trigger_checkpoint(self, barrier: Barrier, *, stops: bool) -> None:
        """The JobManager begins a checkpoint. If it `stops` the job, a source reads nothing until it has completed or
        failed.
        """
        if self.state is TaskState.RUNNING and not self._restore.is_finished:
            self._checkpoints.trigger(barrier, stops=stops, is_slow=self._may_overtake and self.pace.is_slow)

    def checkpoint_completed(self, checkpoint_id: int, *, stops: bool) -> None:
        """The checkpoint is durable everywhere. With `stops`, the job ends here without draining: what a task writes
        after it is written again when the job resumes from it.
        """
        if self._restore.is_finished:
            return
        for node in self._nodes:
            self._try(lambda node=node: node.operator.checkpoint_completed(checkpoint_id))  # type: ignore[misc]
        if stops and self.state is TaskState.RUNNING:
            self._end.stop()
            source = self._source
            if source is not None:
                self._try(lambda: source.end(drained=False))

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete."""
        self._try(lambda: self._checkpoints.abort(checkpoint_id))
        self._try(lambda: self._feed.aborted(checkpoint_id))
        for node in self._nodes:
            self._try(lambda node=node: node.operator.checkpoint_aborted(checkpoint_id))  # type: ignore[misc]

    def drain(self) -> None:
        """A source ends as if its input had ended. Every task waits at its end for one more checkpoint, except tasks
        that have already announced their end: the next checkpoint is theirs, or they have had it. A task that was
        restored as finished has no input and nothing to commit.
        """
        source = self._source
        if self.state is TaskState.RUNNING and self._end.drain() and source is not None:
            self._try(lambda: source.end(drained=True))

    # --- scheduling ---

    def is_runnable(self) -> bool:
        """True when `run_quantum` would make progress now."""
        if self.state is not TaskState.RUNNING:
            return False
        try:
            return self._feed.can_take_ahead or self._next_action() is not _Action.WAIT
        except (Exception, SystemExit) as error:
            self._fail(error)
            return False

    @property
    def is_backpressured(self) -> bool:
        """True while an output without credit, or a busy operator such as a sink's writer, blocks the task."""
        if self.outputs.blocked is not None:
            return self.outputs.blocked.is_blocked
        return any(not operator.is_available for operator in self._busy_nodes)

    def run_quantum(self) -> None:
        """One input element or one suspended output. A failure makes the task FAILED; it is not raised."""
        start_ns = self._clock.monotonic_ns()
        self._time.waited(start_ns)
        try:
            self._step()
            end_ns = self._clock.monotonic_ns()
            if not self.state.is_terminal:
                self.outputs.flush_due(end_ns)
        except (Exception, SystemExit) as error:
            self._fail(error)
            return
        if not self.state.is_terminal:
            self._time.worked(start_ns, end_ns, is_backpressured=self.is_backpressured)

    def next_deadline_ns(self) -> int:
        """When `flush_due` has something to do; -1 = not before something else happens."""
        dues = self.outputs.deadlines_ns()
        timer_ns = self._processing_time.deadline_ns()
        if timer_ns >= 0 and self._suspended is None:
            dues.append(timer_ns)
        return min(dues, default=-1)

    def flush_due(self) -> None:
        """Ships what has waited for its buffer timeout; counts the time that passed."""
        now_ns = self._clock.monotonic_ns()
        self._time.waited(now_ns)
        if not self.state.is_terminal:
            self.outputs.flush_due(now_ns)
            self._time.publish(now_ns)

    # --- one step ---

    def _next_action(self) -> _Action:
        """What the next quantum does. Work in progress comes first, then checkpoints, the end, timers and input."""
        blocked = self.outputs.blocked
        if blocked is not None:
            return _Action.WAIT if blocked.is_blocked else _Action.RESUME
        has_room = not self._busy_nodes or all(operator.is_available for operator in self._busy_nodes)
        if self._suspended is not None:
            return _Action.PULL if has_room else _Action.WAIT
        if self._checkpoints.has_begin:
            return _Action.CHECKPOINT
        if self._emitting and any(operator.has_outputs for operator in self._emitting):
            return _Action.OUTPUTS
        if self._end.is_ending:
            return _Action.WAIT if self._end_step() is EndStep.WAIT else _Action.END
        if not has_room:
            return _Action.WAIT
        if self._processing_time.is_due:
            return _Action.TIMER
        return _Action.INPUT if self._feed.has_input else _Action.WAIT

    def _step(self) -> None:
        if self._feed.can_take_ahead:
            self._feed.take_ahead()
        action = self._next_action()
        if action is _Action.RESUME and self.outputs.resume():
            action = _Action.PULL  # a partition blocks in the middle of what is suspended
        if action in (_Action.WAIT, _Action.RESUME):
            return
        self.counters.progress += 1
        if action is _Action.END:
            self._do_end_step()
            return
        self._begin(action)
        if self._suspended is not None:
            pulled = self.outputs.pull(self._suspended)
            self._is_at_rest = pulled is Pulled.AT_REST
            if pulled is Pulled.DONE:
                self._suspended = None
        if self._end.is_ending and self._next_action() is _Action.END:
            self._do_end_step()

    def _begin(self, action: _Action) -> None:
        """Sets what is pulled next."""
        if action is _Action.PULL:
            if self._is_at_rest and self._drives_watermark and (barrier := self._feed.next_checkpoint()) is not None:
                assert self._suspended is not None
                self._suspended = chain(barrier, self._suspended)
        elif action is _Action.CHECKPOINT:
            self._drives_watermark = False
            self._suspended = self._feed.next_checkpoint()
        elif action is _Action.OUTPUTS:
            self._drives_watermark = False
            self._suspended = self._feed.own_outputs()
        else:
            self.pace.ended()
            self._drives_watermark = False
            if action is _Action.TIMER:
                operator, outputs = self._processing_time.take()
                self._suspended = self._feed.timer_outputs(self._nodes[operator], outputs)
            else:
                self._suspended = self._feed.next()
                self._drives_watermark = self._feed.drives_watermark

    def _end_step(self) -> EndStep:
        has_staged = any(sink.needs_commit for sink in self._sinks)
        return self._end.next_step(has_staged=has_staged, has_written=all(sink.is_finished for sink in self._sinks))

    def _do_end_step(self) -> None:
        step = self._end_step()
        if step is EndStep.FINISH and not self._feed.have_outputs_ended:
            self._suspended = self._feed.end_outputs()
        elif step is EndStep.FINISH:
            self._close()
            self._change(TaskState.FAILED if self.error else TaskState.FINISHED, self.error)
        elif step is EndStep.ANNOUNCE:
            self._end.announced()
            self._listener.task_ending(self.deployment.subtask)
        else:
            self._end.announced()
            self._checkpoints.final_snapshot([n for n in self._nodes if isinstance(n.operator, SinkOperator)])

    # --- states ---

    def _try(self, action: Callable[[], None]) -> None:
        """Performs a request, if the task runs. A failure makes the task FAILED; it is not raised."""
        if self.state is TaskState.RUNNING:
            try:
                action()
            except (Exception, SystemExit) as error:
                self._fail(error)

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
        self._suspended = None
        self._time.publish(self._clock.monotonic_ns())
        closers = [node.operator.close for node in self._nodes]
        closers += [output.partition.close for output in self.outputs.ends]
        for close in (*closers, self._feed.close):
            try:
                close()
            except Exception as error:
                if self.error is None:
                    self.error = error


def _feed_of(parts: TaskParts, inputs: TaskInputs | None, restore: TaskRestore, *, is_whole_job: bool) -> Feed:
    if inputs is not None:
        return FinishedGateFeed(parts, inputs) if restore.is_finished else GateFeed(parts, inputs)
    source = parts.head.operator
    assert isinstance(source, SourceOperator), "a task without a source has at least one gate"
    return FinishedSourceFeed(parts) if restore.is_finished else SourceFeed(parts, source, is_whole_job=is_whole_job)
