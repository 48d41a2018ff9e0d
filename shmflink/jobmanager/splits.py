"""The enumerators of a job's sources: the only user code that runs in the JobManager."""

from __future__ import annotations

import os
import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shmflink.connectors.base import Source, Split, SplitEnumerator
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization import codec
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import JobGraphError, ShmflinkError, StateMismatchError
from shmflink.graph.job_graph import JobGraph, JobVertex
from shmflink.jobmanager.split_assignments import SplitAssignments
from shmflink.jobmanager.user_exits import refused_exits
from shmflink.rpc.messages import AssignSplit, Failure, SourceProgress

__all__ = ["SplitServer", "failure_of"]


def failure_of(error: BaseException, operator: str = "") -> Failure:
    """An error of this process as a message."""
    text = "".join(traceback.format_exception(error))
    return Failure(type(error).__name__, str(error), traceback_text=text, operator=operator)


@dataclass(frozen=True, slots=True)
class _WithReturned:
    """An enumerator's state together with splits that wait for a reader that had them before."""

    state: Any
    returned: tuple[Split, ...]


class SplitServer:
    """Answers split requests of one attempt, and takes part in its checkpoints.

    A checkpoint contains each split exactly once. `snapshot` is taken before the trigger is sent: a split assigned
    before it is in its reader's snapshot, a split assigned after it is still in the enumerator's.
    """

    def __init__(self, enumerators: Mapping[int, SplitEnumerator]) -> None:
        self._enumerators = enumerators
        self._assignments = SplitAssignments()
        self._in_hand: dict[SubtaskId, int] = {}  # bytes or rows of the split that each reader has
        self._returned: dict[SubtaskId, deque[Split]] = {}  # for a reader that was restarted: it had them before

    @staticmethod
    def of(graph: JobGraph, restored: Mapping[int, bytes] | Mapping[str, bytes] | None = None) -> SplitServer:
        """Builds the enumerators; exceptions of the sources propagate. Their modules are found on `python_path`.

        `restored`: results of `snapshot`, by vertex or by the id of the source's operator; sources that it lacks start
        from their beginning.
        """
        sys.path += [path for path in graph.python_path if path not in sys.path]
        if graph.working_directory:
            os.chdir(graph.working_directory)  # relative paths refer to the user's folder
        states = {str(key): state for key, state in (restored or {}).items()}
        sources = [vertex for vertex in graph.vertices if vertex.is_source]
        with refused_exits():
            return SplitServer({vertex.index: _enumerator(vertex, states) for vertex in sources})

    def answer(self, epoch: int, subtask: SubtaskId) -> AssignSplit | None:
        """The next split for a reader, or that there will be none; None if there is none now: ask again later.

        Exceptions of the enumerator propagate.
        """
        returned = self._returned.get(subtask)
        if returned:
            return self._assigned(epoch, subtask, returned.popleft())
        enumerator = self._enumerators[subtask.vertex]
        with refused_exits():
            split = enumerator.next_split(subtask.subtask)
            is_exhausted = enumerator.is_exhausted
        if split is not None:
            return self._assigned(epoch, subtask, split)
        self._in_hand.pop(subtask, None)
        return AssignSplit(epoch, subtask, b"", exhausted=True) if is_exhausted else None

    def _assigned(self, epoch: int, subtask: SubtaskId, split: Split) -> AssignSplit:
        self._assignments.add(subtask, split)
        self._in_hand[subtask] = split.size
        return AssignSplit(epoch, subtask, codec.dumps_value(split), exhausted=False)

    def snapshot(self, checkpoint_id: int | None = None) -> dict[int, bytes]:
        """The state of each enumerator by its vertex, as bytes; taken before the checkpoint is triggered.

        With `checkpoint_id`, splits are remembered for `reset`: from then on until `checkpoint_completed`.
        """
        with refused_exits():
            states = {vertex: codec.dumps_state(self._state(vertex)) for vertex in self._enumerators}
        if checkpoint_id is not None:
            self._assignments.checkpoint_begins(checkpoint_id)
        return states

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """This is now the oldest checkpoint that could be restored. Splits assigned before it are in the readers'
        snapshots, so `reset` need no longer return them.
        """
        self._assignments.checkpoint_completed(checkpoint_id)

    def reset(self, subtask: SubtaskId, checkpoint_id: int | None) -> None:
        """A reader restarts from a checkpoint (None: from the beginning) while the source's other readers continue.

        Splits that it received since are assigned to the same reader again: the event time of other readers may already
        be beyond their content. Splits are remembered for this from the first checkpoint on, or from the start if
        `remember_assignments` was called.
        """
        self._in_hand.pop(subtask, None)
        splits = self._assignments.take(subtask, checkpoint_id)
        self._returned.setdefault(subtask, deque()).extendleft(reversed(splits))

    def remember_assignments(self) -> None:
        """Remembers splits from the start on: for jobs with checkpoints whose regions fail over separately. In other
        jobs nothing is remembered, because nothing would ever be forgotten."""
        self._assignments.is_on = True

    def add_splits_back(self, vertex: int, splits: Sequence[Split]) -> None:
        """Returns splits of a lost reader to the enumerator, which assigns them again."""
        with refused_exits():
            self._enumerators[vertex].add_splits_back(splits)

    def close(self) -> None:
        """Ends the enumerators' threads."""
        for enumerator in self._enumerators.values():
            with refused_exits():
                enumerator.close()

    def progress(self) -> tuple[SourceProgress, ...]:
        """Progress of the sources that know their total. A split counts as read when its reader requests the next
        one.
        """
        with refused_exits():
            known = [(vertex, enumerator.progress) for vertex, enumerator in self._enumerators.items()]
        return tuple(
            SourceProgress(vertex, progress[0] - self._unread_of(vertex), progress[1])
            for vertex, progress in known
            if progress is not None
        )

    def _unread_of(self, vertex: int) -> int:
        """Bytes or rows that were assigned and are not read yet."""
        in_hand = sum(amount for subtask, amount in self._in_hand.items() if subtask.vertex == vertex)
        return in_hand + sum(split.size for split in self._returned_of(vertex))

    def _returned_of(self, vertex: int) -> tuple[Split, ...]:
        return tuple(s for subtask, splits in self._returned.items() if subtask.vertex == vertex for s in splits)

    def _state(self, vertex: int) -> Any:
        state = self._enumerators[vertex].snapshot()
        returned = self._returned_of(vertex)
        return _WithReturned(state, returned) if returned else state


def _enumerator(vertex: JobVertex, states: Mapping[str, bytes]) -> SplitEnumerator:
    head = vertex.operators[0]
    source = codec.loads_trusted(head.payload)
    if not isinstance(source, Source):
        raise JobGraphError(f"source '{head.name}' unpickles to a {type(source).__name__}, not to a Source")
    create: Callable[[int, Any], SplitEnumerator] = source.create_enumerator
    state = states.get(head.operator_id, states.get(str(vertex.index)))
    if state is None:
        return create(vertex.parallelism, None)
    loaded = codec.loads_state(state)
    before, returned = (loaded.state, loaded.returned) if isinstance(loaded, _WithReturned) else (loaded, ())
    try:
        made = create(vertex.parallelism, before)
    except ShmflinkError:
        raise
    except Exception as error:
        raise StateMismatchError(
            f"the source '{head.name}' ({head.uid or head.operator_id}), a {source.state_kind}, cannot resume from the "
            f"state in the checkpoint, a {type(before).__name__}: {type(error).__name__}: {error}. Another kind of "
            "source may have written it: use that one again, or give this source another uid and drop the state "
            "(--allow-non-restored-state)"
        ) from error
    if returned:
        made.add_splits_back(returned)
    return made


register_plain(_WithReturned)
