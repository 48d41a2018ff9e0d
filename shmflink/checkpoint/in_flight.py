"""What was under way on the channels at an unaligned barrier, given to the subtasks that go on from there.

With another parallelism nothing is where it was: rows of a keyed edge go to the owners of their key groups, those of a
broadcast edge stay with the subtask whose broadcast state is taken over, all others go to the subtasks in turn. Where
the parallelism of either side is another one, control elements are left out: a watermark holds for a channel that is no
more, and its producer sends another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa

from shmflink.checkpoint.manifest import Manifest, OperatorState
from shmflink.checkpoint.reading import read_file
from shmflink.checkpoint.state_files import loads_elements
from shmflink.core.batch import Batch
from shmflink.core.elements import Element
from shmflink.core.key_groups import key_groups as groups_of
from shmflink.network.local import KeyGroupSelector

__all__ = ["ChannelElements", "InputRoute", "Routing", "channel_elements"]


class Routing(Enum):
    """How an input edge distributes rows."""

    KEYED = "keyed"  # HASH
    BROADCAST = "broadcast"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InputRoute:
    """One input edge of the subtask; `key_columns` as the edge's, empty for hidden keys.

    `has_other_producers`: the producing side has another parallelism than before.
    """

    routing: Routing
    key_columns: tuple[str, ...] = ()
    has_other_producers: bool = False


@dataclass(frozen=True, slots=True)
class ChannelElements:
    """In order. `producer` is the subtask that had sent them, which there need not be any more."""

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
) -> list[ChannelElements]:
    """What one subtask takes in before anything else; `operator_id` is the first of its chain.

    Raises:
        CheckpointCorruptedError: a file is damaged.
    """
    operator = manifest.operator(operator_id)
    if operator is None:
        return []
    results = []
    for state in operator.subtasks:
        for channel in state.channels:
            route = routes.get(channel.edge, InputRoute(Routing.OTHER))
            if not _takes(operator, route, state.subtask, subtask, parallelism):
                continue
            elements = loads_elements(read_file(directory, channel.file))
            is_rescaled = operator.parallelism != parallelism
            if is_rescaled or route.has_other_producers:
                elements = [element for element in elements if isinstance(element, Batch)]
                if is_rescaled and route.routing is Routing.KEYED:
                    elements = _of_groups(elements, route, key_groups, max_parallelism)
            if elements:
                results.append(ChannelElements(channel.edge, channel.producer, elements))
    return results


def _takes(operator: OperatorState, route: InputRoute, before: int, subtask: int, parallelism: int) -> bool:
    """Whether a subtask looks at what a former one had."""
    if operator.parallelism == parallelism:
        return before == subtask
    match route.routing:
        case Routing.KEYED:
            return True
        case Routing.BROADCAST:
            return before == subtask % operator.parallelism
        case Routing.OTHER:
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
