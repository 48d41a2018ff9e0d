"""The job graph: chains of operators and the edges that need channels. The JobManager receives it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy

__all__ = ["ChainedOperator", "JobEdge", "JobGraph", "JobVertex", "NodeKind"]


class NodeKind(enum.StrEnum):
    """What a chained operator's payload unpickles to."""

    SOURCE = "source"  # connectors.base.Source
    OPERATOR = "operator"  # operators.base.Operator
    SINK = "sink"  # connectors.base.Sink
    GLOBAL_COMMITTER = "global committer"  # connectors.base.Sink, which has one


@dataclass(frozen=True, slots=True)
class ChainedOperator:
    """One operator inside a vertex.

    A chain is a tree: node 0 is the head, `children` index into the same tuple.
    `input_tag` names the side output of its parent that feeds it; None = the main output.
    """

    operator_id: str
    name: str
    description: str
    uid: str | None
    kind: NodeKind
    payload: bytes
    children: tuple[int, ...] = ()
    input_tag: str | None = None
    watermarks: bytes = b""  # of sources: the pickled WatermarkStrategy; empty if there is none
    alignment: tuple[str, int, int] | None = None  # of sources: group, greatest drift and update interval in ms
    changelog: str = ""  # how its rows change, in words, unless they are insert-only: `updates by user`
    delivery: str = ""  # of sources and sinks: the guarantee after a restart: exactly-once, at-least-once, ...
    connector: str = ""  # of sources and sinks: their `state_kind`


@dataclass(frozen=True, slots=True)
class JobVertex:
    """Operators chained into one task."""

    index: int
    name: str
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    co_location_group: str | None
    operators: tuple[ChainedOperator, ...]

    @property
    def is_source(self) -> bool:
        return self.operators[0].kind is NodeKind.SOURCE


@dataclass(frozen=True, slots=True)
class JobEdge:
    """An edge that needs channels: from a chained operator of `source` to an input of `target`'s head."""

    index: int
    source: int
    source_operator: int
    target: int
    input_index: int
    strategy: ShipStrategy
    partitioner: bytes = b""  # CUSTOM: the pickled callable (key, number of partitions) -> index
    output_tag: str | None = None
    buffer_timeout_ms: int = 100  # 0 = ship after every batch, -1 = only full segments
    key_columns: tuple[str, ...] = ()  # HASH: the columns that form the key; none = the batches' hidden keys
    row_type: bytes = b""  # the pickled TypeInformation declared for the rows; empty if there is none


@dataclass(frozen=True, slots=True)
class JobGraph:
    """Everything that a cluster needs to run a job.

    `configuration` has Flink's keys; `python_path` is where workers import from; `json_plan` is the stream graph
    as Flink's `get_execution_plan` writes it.
    """

    job_id: JobId
    name: str
    is_batch: bool
    vertices: tuple[JobVertex, ...]
    edges: tuple[JobEdge, ...]
    configuration: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[str, ...] = ()
    working_directory: str = ""
    main_file: str = ""
    json_plan: str = ""
