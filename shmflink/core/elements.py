"""The elements of a channel: batches and control elements (Flink's StreamElement)."""

from __future__ import annotations

from typing import Final, TypeAlias

from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain

__all__ = [
    "BARRIER_ALIGNED",
    "BARRIER_SAVEPOINT",
    "BARRIER_UNALIGNED",
    "MAX_WATERMARK",
    "MIN_TIMESTAMP_MS",
    "Barrier",
    "ControlElement",
    "Element",
    "EndOfData",
    "LatencyMarker",
    "Watermark",
    "WatermarkStatus",
]

MIN_TIMESTAMP_MS: Final = -(2**63)

BARRIER_ALIGNED: Final = 0
BARRIER_UNALIGNED: Final = 1
BARRIER_SAVEPOINT: Final = 2


@dataclass(frozen=True, slots=True)
class Watermark:
    """No element with a timestamp <= `timestamp_ms` follows on this channel."""

    timestamp_ms: int


MAX_WATERMARK: Final = Watermark(2**63 - 1)


@dataclass(frozen=True, slots=True)
class WatermarkStatus:
    """The channel stops (`idle`) or resumes contributing to its gate's watermark."""

    idle: bool


@dataclass(frozen=True, slots=True)
class Barrier:
    """A checkpoint barrier (Chandy-Lamport, as in Flink).

    `kind` is 0 = aligned checkpoint, 1 = unaligned checkpoint, 2 = savepoint.
    """

    checkpoint_id: int
    timestamp_ms: int
    kind: int = 0

    @property
    def is_savepoint(self) -> bool:
        """Self-contained: holds all state, and later checkpoints refer to nothing in it."""
        return self.kind == BARRIER_SAVEPOINT


@dataclass(frozen=True, slots=True)
class EndOfData:
    """Nothing follows on this channel. `drained` is False when a job stops with a savepoint without draining."""

    drained: bool = True


@dataclass(frozen=True, slots=True)
class LatencyMarker:
    """Measures the latency from a source to here; may be dropped, and nothing waits for it."""

    source_id: int
    emitted_ns: int


ControlElement: TypeAlias = Watermark | WatermarkStatus | Barrier | EndOfData | LatencyMarker
Element: TypeAlias = Batch | ControlElement


register_plain(Barrier, EndOfData, LatencyMarker, Watermark, WatermarkStatus)
