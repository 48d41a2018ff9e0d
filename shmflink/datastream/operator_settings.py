"""What a program sets on an operator, source or sink that it has recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shmflink.datastream.slot_sharing_group import SlotSharingGroup
from shmflink.errors import JobGraphError
from shmflink.plan.settings import MAX_PARALLELISM_LIMIT, ChainingStrategy

if TYPE_CHECKING:
    from shmflink.datastream.recorder import Recorded

__all__ = ["OperatorSettings", "checked_max_parallelism", "checked_parallelism"]

_DEFAULT: Final = -1  # PyFlink's "not given" for parallelism and buffer timeout


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


class OperatorSettings:
    """The setters of one recorded operator, source or sink."""

    def __init__(self, recorded: Recorded, default_parallelism: Callable[[], int]) -> None:
        self._recorded = recorded
        self._default_parallelism = default_parallelism

    @property
    def name(self) -> str:
        return self._recorded.node.name

    def set_name(self, name: str) -> None:
        self._recorded.node = replace(self._recorded.node, name=str(name))

    def set_description(self, description: str) -> None:
        self._recorded.node = replace(self._recorded.node, description=str(description))

    def set_uid(self, uid: str) -> None:
        if not uid or not isinstance(uid, str):
            raise JobGraphError(f"'{self.name}': a uid must be a non-empty string, got {uid!r}")
        self._recorded.set(uid=uid)

    def set_uid_hash(self, uid_hash: str) -> None:
        digits = set(str(uid_hash).lower())
        if len(str(uid_hash)) != 32 or not digits <= set("0123456789abcdef"):
            raise JobGraphError(f"'{self.name}': a uid hash must have 32 hexadecimal digits, got {uid_hash!r}")
        self._recorded.set(uid_hash=uid_hash)

    def set_parallelism(self, parallelism: int) -> None:
        if parallelism == _DEFAULT:
            parallelism = self._default_parallelism()
        checked_parallelism(parallelism, f"'{self.name}'")
        settings = self._recorded.node.settings
        if settings.is_parallelism_fixed and parallelism != settings.parallelism:
            raise JobGraphError(
                f"'{self.name}': the parallelism of a non parallel operator is {settings.parallelism}, "
                f"got {parallelism}"
            )
        self._recorded.set(parallelism=parallelism)

    def set_max_parallelism(self, max_parallelism: int) -> None:
        self._recorded.set(max_parallelism=checked_max_parallelism(max_parallelism, f"'{self.name}'"))

    def force_non_parallel(self) -> None:
        self._recorded.set(parallelism=1, max_parallelism=1, is_parallelism_fixed=True)

    def set_buffer_timeout(self, timeout_millis: int) -> None:
        if type(timeout_millis) is not int or timeout_millis < _DEFAULT:
            raise JobGraphError(
                f"'{self.name}': the buffer timeout must be a whole number of ms, at least -1, got {timeout_millis!r}"
            )
        self._recorded.set(buffer_timeout_ms=None if timeout_millis == _DEFAULT else timeout_millis)

    def start_new_chain(self) -> None:
        self._recorded.set(chaining=ChainingStrategy.HEAD)

    def disable_chaining(self) -> None:
        self._recorded.set(chaining=ChainingStrategy.NEVER)

    def set_slot_sharing_group(self, group: str | SlotSharingGroup) -> None:
        name = group.usable_name() if isinstance(group, SlotSharingGroup) else group
        if not name or not isinstance(name, str):
            raise JobGraphError(
                f"'{self.name}': the name of a slot sharing group must be a non-empty string, got {group!r}"
            )
        self._recorded.set(slot_sharing_group=name)
