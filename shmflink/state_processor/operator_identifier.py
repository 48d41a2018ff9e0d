"""Which operator is meant: by its uid, or by the hash that stands for it."""

from __future__ import annotations

from shmflink.checkpoint.manifest import Manifest, OperatorState
from shmflink.core.ids import OperatorId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import UsageError

__all__ = ["OperatorIdentifier"]


@dataclass(frozen=True, slots=True)
class OperatorIdentifier:
    """Made by `for_uid` or `for_uid_hash`."""

    operator_id: str
    uid: str | None = None

    @staticmethod
    def for_uid(uid: str) -> OperatorIdentifier:
        """What the job gives with `.uid("...")`."""
        if not isinstance(uid, str) or not uid:
            raise UsageError(f"OperatorIdentifier.for_uid() takes the text that the job gives to uid(), got {uid!r}")
        return OperatorIdentifier(OperatorId.of(f"uid:{uid}").hex, uid)

    @staticmethod
    def for_uid_hash(uid_hash: str) -> OperatorIdentifier:
        """32 hexadecimal digits, as `shmflink state list --json` shows them, of an operator without uid."""
        lowered = uid_hash.lower()
        if len(lowered) != 32 or any(digit not in "0123456789abcdef" for digit in lowered):
            raise UsageError(f"OperatorIdentifier.for_uid_hash() takes 32 hexadecimal digits, got {uid_hash!r}")
        return OperatorIdentifier(lowered)

    def __str__(self) -> str:
        return f"uid '{self.uid}'" if self.uid is not None else f"uid hash {self.operator_id}"


def found_in(manifest: Manifest, operator: OperatorIdentifier | str) -> OperatorState:
    """The operator's state; a text is a uid. Raises UsageError where there is none, with those there are."""
    identifier = OperatorIdentifier.for_uid(operator) if isinstance(operator, str) else operator
    found = manifest.operator(identifier.operator_id)
    if found is None:
        known = ", ".join(repr(op.uid) if op.uid else op.operator_id for op in manifest.operators) or "none"
        raise UsageError(f"the savepoint has no operator with {identifier}; it has: {known}")
    return found
