"""Which reader gets which split, what a checkpoint contains, and what a restarted region gets back."""

from __future__ import annotations

import os
import pickle
import re
import sys
from typing import Any

import pytest

from shmflink.connectors.base import Source, Split, SplitEnumerator
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.generator import GeneratorSource
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.connectors.split_queue import PackedSplits, SplitQueue
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.serialization.codec import dumps_function, loads_value
from shmflink.core.serialization.plain_values import is_plain
from shmflink.core.types.typeinfo import Types
from shmflink.errors import JobGraphError, StateMismatchError, UserFunctionError
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.jobmanager.split_assignments import SplitAssignments
from shmflink.jobmanager.splits import SplitServer

EXIT = os._exit
READER, OTHER = SubtaskId(3, 0), SubtaskId(3, 1)


def graph_of(source: Any, parallelism: int = 4) -> JobGraph:
    head = ChainedOperator("f" * 32, "numbers", "", None, NodeKind.SOURCE, dumps_function(source, "it"))
    vertex = JobVertex(3, "numbers", parallelism, 128, "default", None, (head,))
    return JobGraph(JobId("0" * 32), "job", False, (vertex,), ())


def split_of(server: SplitServer, subtask: SubtaskId = READER) -> Split | None:
    answer = server.answer(1, subtask)
    assert answer is not None
    assert answer.exhausted == (not answer.split)
    return loads_value(answer.split) if answer.split else None


def left_of(server: SplitServer, subtask: SubtaskId = READER) -> list[Any]:
    left = []
    while (split := split_of(server, subtask)) is not None:
        left.append(split.payload)
    return left


@pytest.mark.parametrize("key", [3, "f" * 32])
def test_enumerators_go_on_from_what_a_snapshot_holds(key):
    graph = graph_of(NumberSequenceSource(0, 7))
    server = SplitServer.of(graph)
    first = split_of(server)
    assert first is not None
    assert first.payload == (0, 2)
    states = server.snapshot()
    assert left_of(server) == [(2, 4), (4, 6), (6, 8)]
    again = SplitServer.of(graph_of(NumberSequenceSource(0, 7), 2), {key: states[3]})
    assert left_of(again) == [(2, 4), (4, 6), (6, 8)]
    assert left_of(SplitServer.of(graph, {key: SplitServer.of(graph, states).snapshot()[3]})) == left_of(
        SplitServer.of(graph, states)
    )


@pytest.mark.parametrize(
    "other",
    [
        GeneratorSource(lambda start, stop: list(range(start, stop)), type_info=Types.LONG()),
        FileSource.text("/nothing", monitor_interval=1.0),
    ],
    ids=["endless generator", "watched files"],
)
def test_the_state_of_another_kind_of_source_is_refused_by_name(other):
    """A checkpoint of an older release does not say which kind wrote it."""
    states = SplitServer.of(graph_of(NumberSequenceSource(0, 7))).snapshot()
    says = r"source 'numbers' \(f+\), a (Generator|File)Source.*, cannot resume .* a PackedSplits: .*another uid"
    with pytest.raises(StateMismatchError, match=says):
        SplitServer.of(graph_of(other), states)


def test_states_are_not_pickled() -> None:
    server = SplitServer.of(graph_of(NumberSequenceSource(0, 5000), 2000))
    assert is_plain(server.snapshot()[3])
    split = split_of(server)
    server.reset(READER, None)
    assert is_plain(server.snapshot()[3])
    assert split is not None


def test_what_an_older_release_pickled_is_read() -> None:
    splits = PackedSplits((Split("0", (0, 2), 2),), (), (Split("1", (2, 4), 2),))
    again = SplitServer.of(graph_of(NumberSequenceSource(0, 7)), {3: pickle.dumps(splits)})
    assert left_of(again) == [(0, 2), (2, 4)]


def test_a_source_that_the_checkpoint_does_not_know_begins_at_its_beginning() -> None:
    assert len(left_of(SplitServer.of(graph_of(NumberSequenceSource(0, 7)), {9: b"", 4: b""}))) == 4


def test_splits_that_nobody_reads_come_first() -> None:
    server = SplitServer.of(graph_of(NumberSequenceSource(0, 7)))
    first, second = split_of(server), split_of(server)
    assert first is not None
    assert second is not None
    server.add_splits_back(3, [first, second])
    assert left_of(server) == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_a_reader_that_begins_again_gets_what_it_was_handed_out_since_its_checkpoint() -> None:
    server = SplitServer({3: SplitQueue(Split(str(i), i, 1) for i in range(8))})
    server.remember_assignments()
    assert split_of(server) == Split("0", 0, 1)
    server.snapshot(1)
    assert [split_of(server), split_of(server, OTHER)] == [Split("1", 1, 1), Split("2", 2, 1)]
    server.snapshot(2)
    assert split_of(server) == Split("3", 3, 1)
    server.checkpoint_completed(1)
    server.reset(READER, 1)  # checkpoint 2 never completed
    assert server.progress()[0].done == 2 - 1  # 0 and 2, and 2 is being read
    assert split_of(server, OTHER) == Split("4", 4, 1)  # not those: event time of the other may be beyond them
    assert left_of(server) == [1, 3, 5, 6, 7]


def test_a_checkpoint_holds_what_waits_for_a_reader_that_begins_again() -> None:
    graph = graph_of(NumberSequenceSource(0, 7))
    server = SplitServer.of(graph)
    server.remember_assignments()
    split_of(server), split_of(server)
    server.reset(READER, None)
    states = server.snapshot(1)
    assert left_of(SplitServer.of(graph, states), OTHER) == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert left_of(server) == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_before_a_checkpoint_everything_is_given_back_where_it_was_remembered() -> None:
    server = SplitServer({3: SplitQueue(Split(str(i), i) for i in range(3))})
    server.remember_assignments()
    split_of(server), split_of(server)
    server.reset(READER, None)
    assert left_of(server) == [0, 1, 2]


def test_assignments_are_forgotten_when_a_checkpoint_that_holds_them_is_complete() -> None:
    tracked = SplitAssignments()
    tracked.add(READER, Split("before", None))
    assert tracked.take(READER, None) == []
    tracked.checkpoint_begins(5)
    tracked.add(READER, Split("a", None))
    tracked.checkpoint_begins(6)
    tracked.add(READER, Split("b", None))
    tracked.checkpoint_completed(6)
    assert tracked.take(READER, 6) == [Split("b", None)]
    assert tracked.take(READER, 6) == []


def test_where_an_older_checkpoint_may_be_restored_its_assignments_are_kept() -> None:
    tracked = SplitAssignments()
    tracked.is_on = True
    for checkpoint_id in (5, 6):
        tracked.add(READER, Split(str(checkpoint_id), None))
        tracked.checkpoint_begins(checkpoint_id)
    tracked.add(READER, Split("later", None))
    tracked.checkpoint_completed(5)  # 6 is complete, too, and 5 is retained beside it
    assert tracked.take(READER, 6) == [Split("later", None)]
    assert tracked.take(READER, 5) == [Split("6", None)]  # 6 cannot be read


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(JobGraphError, match="'numbers' unpickles to a dict, not to a Source"):
        SplitServer.of(graph_of({}))


def test_every_enumerator_takes_splits_back_and_says_its_state() -> None:
    """A source without them cannot be made: both are abstract."""

    assert {"add_splits_back", "snapshot"} <= SplitEnumerator.__abstractmethods__
    assert Source.is_replayable


class Exiting(SplitQueue):
    """Ends the process wherever it is asked something."""

    def __init__(self, exit_process: Any, where: str) -> None:
        super().__init__([Split("0", 0, 1)])
        self._exit, self._where = exit_process, where

    def next_split(self, subtask: int) -> Split | None:
        return self._exit(4) if self._where == "next_split" else super().next_split(subtask)

    def snapshot(self) -> Any:
        return self._exit(4) if self._where == "snapshot" else super().snapshot()

    def add_splits_back(self, splits: Any) -> None:
        self._exit(4)


@pytest.mark.parametrize("name", ["sys.exit", "os._exit"])
@pytest.mark.parametrize("where", ["next_split", "snapshot", "add_splits_back"])
def test_an_enumerator_does_not_end_the_jobmanager(name: str, where: str) -> None:
    """[U11]"""
    module, _, function = name.partition(".")
    server = SplitServer({3: Exiting(lambda code: getattr(sys.modules[module], function)(code), where)})
    calls = {
        "next_split": lambda: server.answer(1, READER),
        "snapshot": server.snapshot,
        "add_splits_back": lambda: server.add_splits_back(3, []),
    }
    with pytest.raises(UserFunctionError, match=rf"enumerator called {re.escape(name)}\(4\)"):
        calls[where]()
    assert os._exit is EXIT, "and other code may end the process again"
