"""How the command line describes checkpoints, restarts and guarantees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shmflink.cli.checkpoints import checkpoint_text, delivery_text, end_text
from shmflink.core.ids import JobId
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.rpc.messages import CheckpointSummary, JobEnded
from shmflink.rpc.states import JobState

LAST = CheckpointSummary(31, 1, 0, 31, "/c/chk-31", 3200, 50, 1_258_291)
ENDED = JobEnded(JobId("a" * 32), JobState.FINISHED, 5, None, ())
ON = {"execution.checkpointing.interval": "1 s"}


def test_while_the_job_runs():
    assert checkpoint_text(None) == "checkpointing is off"
    assert checkpoint_text(CheckpointSummary()) == "none yet"
    assert checkpoint_text(CheckpointSummary(failed=3)) == "none yet; 3 failed"
    assert checkpoint_text(LAST) == "#31 3.20 s ago, took 0.05 s, 1.2 MiB; 1 failed"


def test_at_its_end():
    assert end_text(ENDED) == ""
    assert end_text(replace(ENDED, restarts=1)) == "restarted once"
    text = "restarted 2 times, 31 checkpoints (1 failed), last at /c/chk-31"
    assert end_text(replace(ENDED, restarts=2, checkpoints=LAST)) == text


def graph(source: str, *sinks: str) -> JobGraph:
    operators = [ChainedOperator("0", "Source: in", "", None, NodeKind.SOURCE, b"", delivery=source)]
    operators.append(ChainedOperator("1", "map", "", None, NodeKind.OPERATOR, b""))
    operators += [
        ChainedOperator(f"{i}", f"sink {i}", "", None, NodeKind.SINK, b"", delivery=one) for i, one in enumerate(sinks)
    ]
    vertex = JobVertex(0, "all", 1, 128, "default", None, tuple(operators))
    return JobGraph(JobId("a" * 32), "job", False, (vertex,), ())


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (graph("exactly-once", "exactly-once"), "exactly-once"),
        (graph("exactly-once", "exactly-once", "at-least-once"), "at-least-once, because of sink 1"),
        (graph("at-most-once", "at-least-once"), "at-most-once, because of Source: in"),
        (graph("exactly-once", "none", "none"), "none, because of sink 0, sink 1"),
    ],
)
def test_the_weakest_link_is_named(job, text):
    """[E10] [S11]"""
    assert delivery_text(job, ON) == text
    assert delivery_text(job, {}) == "", "without checkpoints there is nothing to promise"


def test_the_mode_counts_as_a_link():
    mode = {**ON, "execution.checkpointing.mode": "AT_LEAST_ONCE"}
    text = "at-least-once, because of execution.checkpointing.mode"
    assert delivery_text(graph("exactly-once", "exactly-once"), mode) == text
