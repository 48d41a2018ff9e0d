"""All input gates of one task, addressed as one sequence of channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shmflink.core.elements import Element
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.network.channel import InputGate

__all__ = ["TaskGates"]


class TaskGates:
    """Numbers the channels consecutively over the gates. Gates of one input index (a union) share an input."""

    def __init__(self, gates: Sequence[tuple[int, InputGate]]) -> None:
        """`gates` as (input index of the task's head, gate)."""
        assert gates, "a task without a source has at least one gate"
        self._gates = [gate for _, gate in gates]
        self._input_of_gate = [input_index for input_index, _ in gates]
        self._first_channel: list[int] = []
        self._place: list[tuple[int, int]] = []  # channel -> (gate, channel of the gate)
        for index, gate in enumerate(self._gates):
            self._first_channel.append(len(self._place))
            self._place += [(index, channel) for channel in range(gate.num_channels)]
        self._next_gate = 0

    @property
    def input_of_channel(self) -> list[int]:
        """The input index of each channel."""
        return [self._input_of_gate[gate] for gate, _ in self._place]

    @property
    def is_available(self) -> bool:
        return any(gate.is_available for gate in self._gates)

    def poll(self, *, is_ahead: bool = False) -> tuple[int, int, Element] | None:
        """(input index, channel, element), fair between the gates; None if no element is available.

        `is_ahead`: the element is taken before its turn (see `InputGate.poll`).
        """
        count = len(self._gates)
        for step in range(count):
            index = (self._next_gate + step) % count
            taken = self._gates[index].poll(is_ahead=is_ahead)
            if taken is not None:
                self._next_gate = index + 1
                return self._input_of_gate[index], self._first_channel[index] + taken[0], taken[1]
        return None

    def row_type_of(self, channel: int) -> TypeInformation | None:
        """The declared type of a channel's rows."""
        return self._gates[self._place[channel][0]].row_type

    def block(self, channels: Iterable[int]) -> None:
        """`poll` returns nothing from these channels until they are unblocked."""
        for channel in channels:
            gate, place = self._place[channel]
            self._gates[gate].block(place)

    def unblock(self, channels: Iterable[int]) -> None:
        """`poll` returns elements of these channels again."""
        for channel in channels:
            gate, place = self._place[channel]
            self._gates[gate].unblock(place)

    @property
    def bytes_in(self) -> int:
        """Over all gates."""
        return sum(gate.bytes_in for gate in self._gates)

    @property
    def retained_copies(self) -> int:
        """Over all gates."""
        return sum(gate.retained_copies for gate in self._gates)

    def close(self) -> None:
        for gate in self._gates:
            gate.close()
