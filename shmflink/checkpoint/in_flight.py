"""In-flight data of the channels at an unaligned barrier, assigned to the subtasks that resume from there.

With another parallelism, data moves: rows of a keyed edge go to the owners of their key groups, rows of a broadcast
edge stay with the subtask whose broadcast state is restored, all others go to the subtasks in turn. If the parallelism
of either side has changed, control elements are dropped: a watermark is valid for a channel that no longer exists, and
its producer sends a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import numpy as np
import pyarrow as pa

from shmflink.checkpoint.handles import ChannelState
from shmflink.checkpoint.manifest import Manifest, OperatorState
from shmflink.checkpoint.reading import (
    StateReader,
    coordinator_state,
    may_hold_pickles,
    may_unpickle,
    read_file,
    value_of,
)
from shmflink.checkpoint.state_files import loads_elements
from shmflink.checkpoint.trust import pickle_refused
from shmflink.core.batch import Batch
from shmflink.core.elements import Element
from shmflink.core.keys.groups import key_groups as groups_of
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import is_plain
from shmflink.network.local import KeyGroupSelector

__all__ = ["ChannelElements", "ChannelRouting", "InputRoute", "channel_elements", "check_without_pickle"]


class ChannelRouting(Enum):
    """How an input edge distributes rows."""

    KEYED = "keyed"  # HASH
    BROADCAST = "broadcast"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InputRoute:
    """One input edge of the subtask; `key_columns` are the edge's, empty for hidden keys.

    `has_other_producers`: the parallelism of the producing side has changed.
    """

    routing: ChannelRouting
    key_columns: tuple[str, ...] = ()
    has_other_producers: bool = False


@dataclass(frozen=True, slots=True)
class ChannelElements:
    """In order. `producer` is the subtask that had sent them; it may no longer exist."""

    edge: int
    producer: int
    elements: list[Element]


def channel_elements(
    manifest: Manifest,
    directory: str,
    operator_id: str,
    subtask: int,
    parallelism: int,
    key_groups: range,
    max_parallelism: int,
    routes: Mapping[int, InputRoute],
    *,
    allows_pickle: bool | None = None,
) -> list[ChannelElements]:
    """What one subtask receives before anything else; `operator_id` is the first of its chain.

    Raises:
        CheckpointCorruptedError: a file is damaged.
        CheckpointError: records are pickled and must not be loaded (`reading.may_unpickle`).
    """
    operator = manifest.operator(operator_id)
    if operator is None:
        return []
    results = []
    for state in operator.subtasks:
        for channel in state.channels:
            route = routes.get(channel.edge, InputRoute(ChannelRouting.OTHER))
            if not _takes(operator, route, state.subtask, subtask, parallelism):
                continue
            elements = _elements(directory, operator, channel, allows_pickle)
            is_rescaled = operator.parallelism != parallelism
            if is_rescaled or route.has_other_producers:
                elements = [element for element in elements if isinstance(element, Batch)]
                if is_rescaled and route.routing is ChannelRouting.KEYED:
                    elements = _of_groups(elements, route, key_groups, max_parallelism)
            if elements:
                results.append(ChannelElements(channel.edge, channel.producer, elements))
    return results


def _elements(
    directory: str, operator: OperatorState, channel: ChannelState, allows_pickle: bool | None
) -> list[Element]:
    data = memoryview(read_file(directory, channel.file))
    if may_unpickle(directory, allows_pickle):
        return loads_elements(data)
    refused = pickle_refused(directory, f"an in-flight record for operator '{operator.name}'")
    if not is_plain(data):
        raise refused

    def check(batch: pa.RecordBatch) -> None:
        if may_hold_pickles(batch):
            raise refused

    return loads_elements(data, check)


def check_without_pickle(directory: str, manifest: Manifest) -> None:
    """Reads everything that is not pickled. Raises CheckpointError at the first pickled item."""
    for operator in manifest.operators:
        coordinator_state(directory, operator, allows_pickle=False)
        reader = StateReader(directory, operator, allows_pickle=False)
        reader.operator_state(0, 1)
        for name in reader.keyed_names:
            for _ in reader.read_keyed(name):
                pass
        for subtask in operator.subtasks:
            if subtask.broadcast_state is not None:
                value_of(directory, operator, subtask.broadcast_state, allows_pickle=False)
            for channel in subtask.channels:
                _elements(directory, operator, channel, allows_pickle=False)


def _takes(operator: OperatorState, route: InputRoute, before: int, subtask: int, parallelism: int) -> bool:
    """Whether a subtask takes over data of a former one."""
    if operator.parallelism == parallelism:
        return before == subtask
    match route.routing:
        case ChannelRouting.KEYED:
            return True
        case ChannelRouting.BROADCAST:
            return before == subtask % operator.parallelism
        case ChannelRouting.OTHER:
            return before % parallelism == subtask


def _of_groups(elements: list[Element], route: InputRoute, key_groups: range, max_parallelism: int) -> list[Element]:
    select = KeyGroupSelector(lambda keys, groups, _: groups_of(keys, groups), max_parallelism, route.key_columns)
    kept: list[Element] = []
    for batch in elements:
        assert isinstance(batch, Batch)
        groups = select(batch, 1)
        mask = (groups >= key_groups.start) & (groups < key_groups.stop)
        if np.any(mask):
            kept.append(Batch.from_wire(batch.to_wire().filter(pa.array(mask)), batch.row_type))
    return kept
