"""Watermarks of several channels, or of several inputs, combined into one. Pure state machines.

Source: Flink's StatusWatermarkValve and CombinedWatermarkStatus.
"""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS, Watermark, WatermarkStatus

__all__ = ["InputWatermarks", "TaskWatermarks", "WatermarkValve"]

_Output = list[Watermark | WatermarkStatus]


class WatermarkValve:
    """The minimum over the channels that are active and have caught up; emitted only when it grows.

    Every call returns what must be forwarded, in order. A channel that becomes active again with an older
    watermark stays out of the minimum until it has caught up. When all channels are idle, so is the valve; if the last
    active channel was at the output's level, the largest watermark is flushed first.
    """

    def __init__(self, num_channels: int) -> None:
        assert num_channels >= 1, num_channels
        self._watermarks = [MIN_TIMESTAMP_MS] * num_channels
        self._is_active = [True] * num_channels
        self._is_aligned = [True] * num_channels
        self._output = MIN_TIMESTAMP_MS
        self._output_is_active = True

    @property
    def watermark_ms(self) -> int:
        """The last watermark passed on; MIN_TIMESTAMP_MS before the first."""
        return self._output

    @property
    def is_idle(self) -> bool:
        return not self._output_is_active

    def restore(self, watermark_ms: int) -> None:
        """Resumes from a checkpoint: nothing below is emitted again."""
        self._output = watermark_ms

    def watermark(self, channel: int, watermark: Watermark) -> _Output:
        """A watermark arrived. The one that ends the input counts even on an idle channel."""
        output: _Output = []
        if not self._is_active[channel]:
            if watermark != MAX_WATERMARK:
                return output
            output += self.status(channel, WatermarkStatus(idle=False))
        timestamp = watermark.timestamp_ms
        if timestamp <= self._watermarks[channel]:
            return output
        self._watermarks[channel] = timestamp
        if timestamp >= self._output:
            self._is_aligned[channel] = True
        return output + self._advance_to_minimum()

    def status(self, channel: int, status: WatermarkStatus) -> _Output:
        """The channel reports that it is idle, or active again."""
        if status.idle == (not self._is_active[channel]):
            return []
        return self._turn_idle(channel) if status.idle else self._turn_active(channel)

    def _turn_idle(self, channel: int) -> _Output:
        self._is_active[channel] = False
        self._is_aligned[channel] = False
        was_at_output = self._watermarks[channel] == self._output
        if any(self._is_active):
            return self._advance_to_minimum() if was_at_output else []
        flushed = self._advance_to(max(self._watermarks)) if was_at_output else []
        self._output_is_active = False
        return [*flushed, WatermarkStatus(idle=True)]

    def _turn_active(self, channel: int) -> _Output:
        self._is_active[channel] = True
        self._is_aligned[channel] = self._watermarks[channel] >= self._output
        if self._output_is_active:
            return []
        self._output_is_active = True
        return [WatermarkStatus(idle=False)]

    def _advance_to_minimum(self) -> _Output:
        aligned = [w for w, is_aligned in zip(self._watermarks, self._is_aligned, strict=True) if is_aligned]
        return self._advance_to(min(aligned)) if aligned else []

    def _advance_to(self, timestamp: int) -> _Output:
        if timestamp <= self._output:
            return []
        self._output = timestamp
        return [Watermark(timestamp)]


class InputWatermarks:
    """The minimum over the inputs of one operator that are not idle (connect).

    Unlike a channel, an input that becomes active again holds the others back at once, and nothing is flushed when all
    are idle: the operator is then idle as well.
    """

    def __init__(self, num_inputs: int) -> None:
        self._watermarks = [MIN_TIMESTAMP_MS] * num_inputs
        self._is_idle = [False] * num_inputs
        self._output = MIN_TIMESTAMP_MS

    def restore(self, watermark_ms: int) -> None:
        """Resumes from a checkpoint: nothing below is emitted again."""
        self._output = watermark_ms

    def watermark(self, index: int, watermark: Watermark) -> _Output:
        """A watermark arrived, which also means that the input is active."""
        output = self.status(index, WatermarkStatus(idle=False))
        self._watermarks[index] = max(self._watermarks[index], watermark.timestamp_ms)
        return output + self._advance()

    def status(self, index: int, status: WatermarkStatus) -> _Output:
        """The input reports that it is idle, or active again."""
        was_idle = all(self._is_idle)
        self._is_idle[index] = status.idle
        output = self._advance()
        if was_idle != all(self._is_idle):
            output.append(status)
        return output

    def _advance(self) -> _Output:
        active = [w for w, is_idle in zip(self._watermarks, self._is_idle, strict=True) if not is_idle]
        if not active or min(active) <= self._output:
            return []
        self._output = min(active)
        return [Watermark(self._output)]


class TaskWatermarks:
    """One valve per input, over the input's channels; the inputs of an operator with several (connect) are combined."""

    def __init__(self, input_of_channel: Sequence[int]) -> None:
        """`input_of_channel`: the input index of each channel of the task."""
        inputs = sorted(set(input_of_channel))
        counts = [0] * len(inputs)
        self._place: list[tuple[int, int]] = []  # channel -> (valve, channel of the valve)
        for input_index in input_of_channel:
            valve = inputs.index(input_index)
            self._place.append((valve, counts[valve]))
            counts[valve] += 1
        self._valves = [WatermarkValve(count) for count in counts]
        self._combined = InputWatermarks(len(inputs)) if len(inputs) > 1 else None

    def combine(self, channel: int, element: Watermark | WatermarkStatus) -> _Output:
        """What the task passes on when a channel delivers a watermark or a status."""
        valve, place = self._place[channel]
        passed = _delivered(self._valves[valve], place, element)
        if self._combined is None:
            return passed
        return [output for part in passed for output in _delivered(self._combined, valve, part)]

    def restore(self, watermark_ms: int) -> None:
        """Resumes from a checkpoint: nothing below is emitted again."""
        for valve in self._valves:
            valve.restore(watermark_ms)
        if self._combined is not None:
            self._combined.restore(watermark_ms)


def _delivered(
    combination: WatermarkValve | InputWatermarks, place: int, element: Watermark | WatermarkStatus
) -> _Output:
    if isinstance(element, Watermark):
        return combination.watermark(place, element)
    return combination.status(place, element)
