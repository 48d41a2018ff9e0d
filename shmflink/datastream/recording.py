"""Changing what was recorded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shmflink.core.coroutines import refuse_coroutines
from shmflink.datastream.functions import Function, Partitioner
from shmflink.datastream.slot_sharing_group import SlotSharingGroup
from shmflink.errors import JobGraphError
from shmflink.plan.settings import MAX_PARALLELISM_LIMIT, ChainingStrategy
from shmflink.planner.transformations import Transformation

__all__ = [
    "Program",
    "RecordedOperator",
    "checked_max_parallelism",
    "checked_parallelism",
    "partition_function",
]

_DEFAULT = -1  # PyFlink's "not given" for parallelism and buffer timeout


def checked_parallelism(parallelism: int, where: str) -> int:
    """Raises JobGraphError unless it is an int >= 1."""
    if not isinstance(parallelism, int) or isinstance(parallelism, bool) or parallelism < 1:
        raise JobGraphError(f"{where}: the parallelism must be an integer of at least 1, got {parallelism!r}")
    return parallelism


def checked_max_parallelism(max_parallelism: int, where: str) -> int:
    """Raises JobGraphError unless it is an int from 1 to 32768."""
    is_int = isinstance(max_parallelism, int) and not isinstance(max_parallelism, bool)
    if not is_int or not 1 <= max_parallelism <= MAX_PARALLELISM_LIMIT:
        raise JobGraphError(
            f"{where}: the max parallelism must be an integer from 1 to {MAX_PARALLELISM_LIMIT}, "
            f"got {max_parallelism!r}"
        )
    return max_parallelism


class Program:
    """What an environment has recorded; streams add to it."""

    def __init__(self) -> None:
        self.transformations: list[Transformation] = []
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """Numbers that the plan shows: 1, 2, 3, ... over the environment's life."""
        return next(self._ids)

    def record(self, transformation: Transformation) -> None:
        """Every recorded operator runs, whether a sink follows it or not, as in Flink."""
        self.transformations.append(transformation)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Around several steps of one call: where a later one is refused, the earlier ones are not recorded either."""
        count = len(self.transformations)
        try:
            yield
        except BaseException:
            del self.transformations[count:]
            raise


class RecordedOperator:
    """The setters of one recorded operator, source or sink."""

    def __init__(self, transformation: Transformation, default_parallelism: Callable[[], int]) -> None:
        self._t = transformation
        self._default_parallelism = default_parallelism

    @property
    def name(self) -> str:
        return self._t.name

    def set_name(self, name: str) -> None:
        self._t.name = str(name)

    def set_description(self, description: str) -> None:
        self._t.description = str(description)

    def set_uid(self, uid: str) -> None:
        if not uid or not isinstance(uid, str):
            raise JobGraphError(f"'{self._t.name}': a uid is a text that is not empty, got {uid!r}")
        self._t.uid = uid

    def set_uid_hash(self, uid_hash: str) -> None:
        digits = set(str(uid_hash).lower())
        if len(str(uid_hash)) != 32 or not digits <= set("0123456789abcdef"):
            raise JobGraphError(f"'{self._t.name}': a uid hash has 32 hexadecimal digits, got {uid_hash!r}")
        self._t.uid_hash = uid_hash

    def set_parallelism(self, parallelism: int) -> None:
        if parallelism == _DEFAULT:
            parallelism = self._default_parallelism()
        checked_parallelism(parallelism, f"'{self._t.name}'")
        if self._t.is_parallelism_fixed and parallelism != self._t.parallelism:
            raise JobGraphError(
                f"'{self._t.name}': the parallelism of a non parallel operator is {self._t.parallelism}, "
                f"got {parallelism}"
            )
        self._t.parallelism = parallelism

    def set_max_parallelism(self, max_parallelism: int) -> None:
        self._t.max_parallelism = checked_max_parallelism(max_parallelism, f"'{self._t.name}'")

    def force_non_parallel(self) -> None:
        self._t.parallelism = 1
        self._t.max_parallelism = 1
        self._t.is_parallelism_fixed = True

    def set_buffer_timeout(self, timeout_millis: int) -> None:
        if type(timeout_millis) is not int or timeout_millis < _DEFAULT:
            raise JobGraphError(
                f"'{self._t.name}': the buffer timeout is a whole number of ms, -1 or more, got {timeout_millis!r}"
            )
        self._t.buffer_timeout_ms = None if timeout_millis == _DEFAULT else timeout_millis

    def start_new_chain(self) -> None:
        self._t.chaining_strategy = ChainingStrategy.HEAD

    def disable_chaining(self) -> None:
        self._t.chaining_strategy = ChainingStrategy.NEVER

    def set_slot_sharing_group(self, group: str | SlotSharingGroup) -> None:
        name = group.usable_name() if isinstance(group, SlotSharingGroup) else group
        if not name or not isinstance(name, str):
            raise JobGraphError(f"'{self._t.name}': a slot sharing group is named by a text, got {group!r}")
        self._t.slot_sharing_group = name


def partition_function(partitioner: Callable[[Any, int], int] | Partitioner) -> Callable[[Any, int], int]:
    """What travels with a CUSTOM edge: (key, number of partitions) -> index."""
    refuse_coroutines(partitioner)
    if not isinstance(partitioner, Partitioner):
        return partitioner
    kind = type(partitioner)
    if kind.open is not Function.open or kind.close is not Function.close:
        raise JobGraphError(
            f"partition_custom(): {kind.__name__} overrides open() or close(), which are not called for a "
            "partitioner; make what it needs at the first call of partition()"
        )
    return partitioner.partition
