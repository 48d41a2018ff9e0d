"""What a stream of updates can be made into. All of it *shmflink only*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shmflink.expressions.node import place_of_caller
from shmflink.planner.transformations import EveryUpdateTransformation, FinalTransformation, Transformation

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream

__all__ = ["UpdatingMethods"]


class UpdatingMethods:
    """Part of `DataStream`."""

    if TYPE_CHECKING:
        _transformation: Transformation

        def derived(self, transformation: Transformation) -> DataStream: ...

        def get_execution_environment(self) -> Any: ...

    def final(self) -> DataStream:
        """*shmflink only.* The last row of each key alone, in STREAMING mode, too: when the input has ended.

        For what cannot take updates, such as a second `aggregate()`. The aggregates in front of it hold their rows back
        until the end of their input, which must be bounded; windows with allowed lateness until no row can change them.
        In BATCH mode rows are final anyway.

        >>> routes = flights.key_by("origin", "destination").aggregate(n=count()).final()
        >>> busiest = routes.key_by("origin").aggregate(top=col("destination").top_n(3, col("n")))
        """
        return self._marked(FinalTransformation, "final()")

    def updates(self) -> DataStream:
        """*shmflink only.* Every update as a row that stands: a log of changes.

        In BATCH mode there are final rows alone.
        """
        return self._marked(EveryUpdateTransformation, "updates()")

    def _marked(self, kind: type[FinalTransformation | EveryUpdateTransformation], name: str) -> DataStream:
        program = self.get_execution_environment().program
        before = self._transformation
        return self.derived(kind(program.next_id(), name, (before,), before.output_type, place=place_of_caller()))
