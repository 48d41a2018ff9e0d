"""Checks the columns of files that were not examined for the schema."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.connectors.file_system.reading.columns.schemas import MergeRule
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import DataFormatError

__all__ = ["KnownColumns"]


@dataclass(frozen=True, slots=True)
class KnownColumns:
    """The columns of the examined files, `paths`; `rule` limits the columns of other files."""

    names: frozenset[str]
    rule: MergeRule
    paths: frozenset[str]

    def check(self, path: str, names: Sequence[str]) -> None:
        """Checks the columns of a file that is opened for reading.

        Raises:
            DataFormatError: the schema lacks a column of the file, which would be dropped; under `strict`, also if the
                file lacks a column, which would be null.
        """
        if path in self.paths:
            return
        late = next((name for name in names if name not in self.names), None)
        looked_at = f"the {len(self.paths)} files" if len(self.paths) > 1 else "the file"
        if late is not None:
            raise DataFormatError(
                f"{path}: column {late!r} is not among those of {looked_at}, from which the schema was inferred; give "
                f"schema= with it, or columns= with the columns to read"
            )
        if self.rule != "strict":
            return
        lacking = self.names.difference(names)
        if lacking:
            raise DataFormatError(
                f"{path}: there is no column {min(lacking)!r}, but {looked_at}, from which the schema was "
                f"inferred, have it; "
                f"give schema=, or schema_merge='widen'"
            )
