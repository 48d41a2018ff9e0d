"""Channels whose deliveries the schedule chooses: until then, elements and credits are in flight.

Order is kept within a channel, and only there. What channels promise is checked here: order of control elements,
nothing behind the end, watermarks that do not go back, credits that are neither lost nor made.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Sequence

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import ControlElement, Element, EndOfData, Watermark
from shmflink.core.ids import SubtaskId
from shmflink.graph.execution_graph import InputDeployment, OutputDeployment, TaskDeployment
from shmflink.network.channel import InputGate, ResultPartition
from shmflink.network.local import ChannelSelector, LocalChannel, LocalInputGate, LocalResultPartition
from shmflink.taskmanager.assembly import local_selector
from shmflink.taskmanager.task import Task
from shmflink.testing.simulation.world import World

__all__ = ["Bell", "SimulatedChannel", "SimulatedEdges"]


class Bell:
    """Tells the slot of one task that the task may be able to run."""

    __slots__ = ("_signs", "_task")

    def __init__(self) -> None:
        """Not connected yet."""
        self._signs: list[Task | None] = []
        self._task: Task | None = None

    def connect(self, signs: list[Task | None], task: Task) -> None:
        """The task is in this slot."""
        self._signs, self._task = signs, task

    def ring(self) -> None:
        """The task may be able to run."""
        self._signs.append(self._task)


class SimulatedChannel(LocalChannel):
    """`queue` is what the consumer sees; `wire` and `returning` are in flight."""

    __slots__ = (
        "_busy",
        "_has_ended",
        "_is_busy",
        "_to_consumer",
        "_to_producer",
        "_watermark_ms",
        "controls_max",
        "credits_max",
        "name",
        "returning",
        "speed",
        "wire",
        "world",
    )

    def __init__(
        self,
        name: str,
        credits_max: int,
        controls_max: int,
        world: World,
        busy: list[SimulatedChannel],
        to_producer: Bell,
        to_consumer: Bell,
    ) -> None:
        """Puts itself into `busy` as long as something is under way. `speed`: 1, or less for a slow one."""
        super().__init__(credits_max)
        self._to_producer = to_producer
        self._to_consumer = to_consumer
        self.name = name
        self.credits_max = credits_max
        self.controls_max = controls_max
        self.world = world
        self.wire: deque[Element] = deque()
        self.returning = 0
        self.speed = 1.0
        self._busy = busy
        self._is_busy = False
        self._has_ended = False
        self._watermark_ms: int | None = None

    # --- the producer ---

    def try_push(self, batch: Batch) -> bool:
        """Without `ship`: takes a credit for a segment, which is sent later."""
        if not self.credits:
            return False
        self.credits -= 1
        return True

    def ship(self, batch: Batch) -> None:
        """Sends a batch that has its credit."""
        if self._has_ended:
            self.world.violated(f"a batch after the end of {self.name}")
        self.wire.append(batch)
        self._wake()

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._busy.append(self)

    @property
    def has_control_slot(self) -> bool:
        return sum(not isinstance(element, Batch) for element in self.wire) < self.controls_max

    def push_control(self, element: ControlElement) -> None:
        if self._has_ended:
            self.world.violated(f"{element} after the end of {self.name}")
        self._has_ended = isinstance(element, EndOfData)
        if isinstance(element, Watermark):
            if self._watermark_ms is not None and element.timestamp_ms < self._watermark_ms:
                self.world.violated(f"{self.name}: a watermark went back to {element.timestamp_ms}")
            self._watermark_ms = element.timestamp_ms
            if self.wire and isinstance(self.wire[-1], Watermark):
                self.wire[-1] = element
                return
        self.wire.append(element)
        self._wake()

    # --- the consumer ---

    def pop(self) -> Element | None:
        if not self.queue:
            return None
        element = self.queue.popleft()
        if isinstance(element, Batch):
            self.returning += 1
            self._wake()
        return element

    # --- the schedule ---

    def move(self, rng: random.Random) -> str:
        """The next element reaches the consumer, or a credit the producer."""
        if self.wire and (not self.returning or rng.random() < 0.5):
            self.queue.append(self.wire.popleft())
            self._to_consumer.ring()
            what = "element"
        else:
            self.returning -= 1
            self.credits += 1
            what = "credit"
        self._to_producer.ring()
        self._is_busy = bool(self.wire or self.returning)
        return f"{what} of {self.name}"

    @property
    def is_busy(self) -> bool:
        return self._is_busy

    def check(self, opened: int) -> None:
        """Every credit is somewhere; `opened` of them in segments that are not sent yet."""
        under_way = sum(isinstance(element, Batch) for element in (*self.wire, *self.queue))
        total = self.credits + self.returning + under_way + opened
        if total != self.credits_max or self.credits < 0:
            self.world.violated(f"{self.name}: {total} credits of {self.credits_max}")


class _Partition(LocalResultPartition):
    """Rows wait in an open segment of their channel, which holds a credit, until it is full or flushed."""

    def __init__(self, channels: Sequence[SimulatedChannel], selector: ChannelSelector, rows_max: int) -> None:
        super().__init__(channels, selector)
        self._simulated = list(channels)
        self._rows_max = rows_max
        self._open: list[list[Batch]] = [[] for _ in channels]
        self._emitting: deque[tuple[int, ControlElement]] = deque()

    def resume(self) -> bool:
        while self._emitting:
            index, element = self._emitting[0]
            channel = self._simulated[index]
            if not isinstance(element, Watermark) and not channel.has_control_slot:
                return False
            channel.push_control(element)
            self._emitting.popleft()
        waiting: deque[tuple[int, Batch]] = deque()
        for index, part in self._suspended:
            if any(index == other for other, _ in waiting) or not self._place(index, part):
                waiting.append((index, part))
        self._suspended = waiting
        return not waiting

    def _place(self, index: int, part: Batch) -> bool:
        if self._open[index] and not _fit_together(self._open[index][0], part):
            self._ship(index)
        opened = self._open[index]
        if not opened and not self._simulated[index].try_push(part):
            return False
        opened.append(part)
        if sum(batch.num_rows for batch in opened) >= self._rows_max:
            self._ship(index)
        return True

    def _ship(self, index: int) -> None:
        opened, self._open[index] = self._open[index], []
        if opened:
            self._simulated[index].ship(opened[0] if len(opened) == 1 else _joined(opened))

    def flush(self) -> None:
        for index in range(len(self._open)):
            self._ship(index)

    def emit(self, element: ControlElement) -> bool:
        assert not self._suspended, "emit() while a write is suspended"
        assert not self._emitting, "emit() while an emit is suspended"
        self.flush()
        self._emitting.extend((index, element) for index in range(len(self._simulated)))
        return self.resume()

    @property
    def is_blocked(self) -> bool:
        if self._emitting:
            return not self._simulated[self._emitting[0][0]].has_control_slot
        return bool(self._suspended) and all(
            not self._simulated[i].credits and not self._open[i] for i, _ in self._suspended
        )

    @property
    def has_pending(self) -> bool:
        return any(self._open)

    def opened(self, index: int) -> int:
        """Credits that the open segment of a channel holds."""
        return int(bool(self._open[index]))

    def close(self) -> None:
        self._suspended.clear()
        self._emitting.clear()


class SimulatedEdges:
    """Makes the ends of edges; whichever is built first makes the channel."""

    def __init__(self, world: World, credits_max: int, controls_max: int, rows_max: int) -> None:
        self.channels: dict[tuple[int, SubtaskId, SubtaskId], SimulatedChannel] = {}
        self.busy: list[SimulatedChannel] = []
        """Those with something in flight."""
        self.bells: defaultdict[SubtaskId, Bell] = defaultdict(Bell)
        self._world = world
        self._credits_max = credits_max
        self._controls_max = controls_max
        self._rows_max = rows_max
        self._partitions: list[tuple[_Partition, list[SimulatedChannel]]] = []

    def input_gate(self, deployment: TaskDeployment, edge: InputDeployment) -> InputGate:
        return LocalInputGate([self._channel(edge.edge, c.producer, c.consumer) for c in edge.channels])

    def result_partition(self, deployment: TaskDeployment, edge: OutputDeployment) -> ResultPartition:
        channels = [self._channel(edge.edge, c.producer, c.consumer) for c in edge.channels]
        partition = _Partition(channels, local_selector(deployment, edge), self._rows_max)
        self._partitions.append((partition, channels))
        return partition

    def set_speeds(self, rng: random.Random, spread: int) -> None:
        """Slow channels are `spread` times slower."""
        for channel in self.channels.values():
            channel.speed = 1 / rng.choice((1, 1, 1, spread))

    def step(self, rng: random.Random) -> str | None:
        """Something arrives on some channel; slow ones seldom come first."""
        busy = self.busy
        if not busy:
            return None
        index = 0
        for _ in range(3):
            index = int(rng.random() * len(busy))
            if rng.random() < busy[index].speed:
                break
        moved = busy[index].move(rng)
        if not busy[index].is_busy:
            busy[index] = busy[-1]
            busy.pop()
        return moved

    def check(self) -> None:
        """Credits of all channels, while nothing was cancelled."""
        for partition, channels in self._partitions:
            for index, channel in enumerate(channels):
                channel.check(partition.opened(index))

    def _channel(self, edge: int, producer: SubtaskId, consumer: SubtaskId) -> SimulatedChannel:
        key = (edge, producer, consumer)
        if key not in self.channels:
            self.channels[key] = SimulatedChannel(
                f"edge {edge}, {producer} to {consumer}",
                self._credits_max,
                self._controls_max,
                self._world,
                self.busy,
                self.bells[producer],
                self.bells[consumer],
            )
        return self.channels[key]


def _fit_together(one: Batch, other: Batch) -> bool:
    """Whether one segment holds both."""
    if not (one.is_columnar or other.is_columnar):
        return True
    return one.is_columnar and other.is_columnar and one.to_wire().schema == other.to_wire().schema


def _joined(batches: Sequence[Batch]) -> Batch:
    """One segment's rows."""
    if batches[0].is_columnar:
        return Batch.from_wire(pa.concat_batches([batch.to_wire() for batch in batches]), batches[0].row_type)
    rows = [row for batch in batches for row in batch.rows()]
    times = [batch.timestamps for batch in batches if batch.timestamps is not None]
    keys = [batch.keys for batch in batches if batch.keys is not None]
    timestamps = pa.concat_arrays(times) if times else None
    return Batch.of_rows(rows, timestamps=timestamps, keys=pa.concat_arrays(keys) if keys else None)
