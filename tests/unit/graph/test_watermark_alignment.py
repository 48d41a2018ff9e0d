"""How far sources of a group may run ahead of each other."""

from __future__ import annotations

from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS
from shmflink.core.ids import JobId, SubtaskId
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.graph.watermark_alignment import AlignmentGroups, SourceTime


def groups(*alignments: tuple[str, int, int] | None) -> AlignmentGroups:
    vertices = tuple(
        JobVertex(
            i, f"s{i}", 2, 128, "default", None,
            (ChainedOperator("0" * 32, f"s{i}", "", None, NodeKind.SOURCE, b"", alignment=alignment),),
        )
        for i, alignment in enumerate(alignments)
    )  # fmt: skip
    return AlignmentGroups(JobGraph(JobId.random(), "job", False, vertices, ()))


def test_the_slowest_of_a_group_sets_the_limit_of_all() -> None:
    two = groups(("g", 100, 500), ("g", 30, 200), ("other", 5, 1000), None)
    assert two.interval_ms == 200
    times = {
        SubtaskId(0, 0): SourceTime(1000, False),
        SubtaskId(0, 1): SourceTime(5000, False),
        SubtaskId(1, 0): SourceTime(2000, False),
        SubtaskId(1, 1): SourceTime(10, True),  # idle: holds nobody back
        SubtaskId(2, 0): SourceTime(MIN_TIMESTAMP_MS, False),  # no watermark yet: neither
    }
    limits = two.limits(times.get)
    assert limits == {
        **dict.fromkeys([SubtaskId(0, 0), SubtaskId(0, 1), SubtaskId(1, 0), SubtaskId(1, 1)], 1030),
        **dict.fromkeys([SubtaskId(2, 0), SubtaskId(2, 1)], MAX_WATERMARK.timestamp_ms),
    }


def test_without_alignment_there_is_nothing_to_do() -> None:
    assert groups(None).interval_ms is None
    assert groups(None).limits(lambda _: None) == {}
