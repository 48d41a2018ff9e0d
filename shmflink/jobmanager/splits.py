"""The enumerators of a job's sources: the only user code that runs in the JobManager."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping

from shmflink.connectors.base import Source, SplitEnumerator
from shmflink.core import codec
from shmflink.core.ids import SubtaskId
from shmflink.errors import JobGraphError
from shmflink.graph.job_graph import JobGraph, JobVertex
from shmflink.rpc.messages import AssignSplit, Failure, SourceProgress

__all__ = ["SplitServer", "failure_of"]


def failure_of(error: BaseException, operator: str = "") -> Failure:
    """An error of this process as a message."""
    text = "".join(traceback.format_exception(error))
    return Failure(type(error).__name__, str(error), traceback_text=text, operator=operator)


class SplitServer:
    """Answers split requests of one attempt."""

    def __init__(self, enumerators: Mapping[int, SplitEnumerator]) -> None:
        self._enumerators = enumerators
        self._in_hand: dict[SubtaskId, int] = {}  # bytes or rows of the split that each reader has

    @staticmethod
    def of(graph: JobGraph) -> SplitServer:
        """Builds the enumerators; whatever the sources raise comes out. Their modules are found on `python_path`."""
        sys.path += [path for path in graph.python_path if path not in sys.path]
        if graph.working_directory:
            os.chdir(graph.working_directory)  # relative paths mean the user's folder
        sources = [vertex for vertex in graph.vertices if vertex.is_source]
        return SplitServer({vertex.index: _enumerator(vertex) for vertex in sources})

    def answer(self, epoch: int, subtask: SubtaskId) -> AssignSplit | None:
        """The next split for a reader, or that there is none ever; None when there is none now: ask again.

        Whatever the enumerator raises comes out.
        """
        enumerator = self._enumerators[subtask.vertex]
        before = enumerator.progress
        split = enumerator.next_split(subtask.subtask)
        after = enumerator.progress
        self._in_hand[subtask] = after[0] - before[0] if before is not None and after is not None else 0
        if split is not None:
            return AssignSplit(epoch, subtask, codec.dumps_value(split), exhausted=False)
        return AssignSplit(epoch, subtask, b"", exhausted=True) if enumerator.is_exhausted else None

    def close(self) -> None:
        """Ends the enumerators' threads."""
        for enumerator in self._enumerators.values():
            enumerator.close()

    def progress(self) -> tuple[SourceProgress, ...]:
        """What is read of the sources that know their end. A split counts when its reader asks for the next one."""
        known = [(vertex, enumerator.progress) for vertex, enumerator in self._enumerators.items()]
        return tuple(
            SourceProgress(vertex, progress[0] - self._in_hand_of(vertex), progress[1])
            for vertex, progress in known
            if progress is not None
        )

    def _in_hand_of(self, vertex: int) -> int:
        return sum(amount for subtask, amount in self._in_hand.items() if subtask.vertex == vertex)


def _enumerator(vertex: JobVertex) -> SplitEnumerator:
    head = vertex.operators[0]
    source = codec.loads_trusted(head.payload)
    if not isinstance(source, Source):
        raise JobGraphError(f"source '{head.name}' unpickles to a {type(source).__name__}, not to a Source")
    create: Callable[[int], SplitEnumerator] = source.create_enumerator
    return create(vertex.parallelism)
