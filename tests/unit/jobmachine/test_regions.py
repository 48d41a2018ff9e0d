"""The failover regions of a job, and what becomes of their attempts."""

from __future__ import annotations

from shmflink.core.ids import LOCAL_HOST, SubtaskId, TaskManagerId
from shmflink.graph.execution_graph import ExecutionGraph
from shmflink.graph.regions import part_of
from shmflink.jobmachine.attempt import Attempt, AttemptTimes
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pipelined_region import PipelinedRegion
from shmflink.jobmachine.regions import Regions
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState
from tests.unit.jobmachine.conftest import graph_of

LOST = Failure("TaskManagerLostError", "gone")
TASKMANAGERS = tuple(TaskManagerId(LOCAL_HOST, index, 1) for index in range(2))


def regions_with_attempts() -> Regions:
    """Two regions of one task; the attempts have epochs 0 and 1, each on a TaskManager of its own."""
    regions = Regions()
    regions.all = tuple(PipelinedRegion(frozenset({SubtaskId(0, n)})) for n in range(2))
    for epoch, region in enumerate(regions.all):
        execution = part_of(ExecutionGraph.build(graph_of(2), 0, epoch, 1, allows_local=True), region.tasks)
        region.begin(Attempt(execution, TASKMANAGERS, {0: 2}, AttemptTimes(10, 10), Outlet()))
    return regions


def test_an_epoch_names_one_region_until_its_attempt_is_over() -> None:
    regions = regions_with_attempts()
    assert regions.of(1) is regions.all[1]
    assert regions.attempt_of(0) is regions.all[0].attempt
    regions.all[1].end(is_finished=False)
    assert (regions.of(1), regions.attempt_of(1)) == (None, None)
    assert regions.idle == (regions.all[1],)


def test_a_lost_taskmanager_fails_only_the_region_that_has_a_task_there() -> None:
    regions = regions_with_attempts()
    regions.taskmanager_lost(TASKMANAGERS[1], LOST)
    assert [attempt.failure for attempt in regions.attempts] == [None, LOST]
    assert regions.news is regions.all[1]


def test_all_regions_fail_or_stop_together() -> None:
    regions = regions_with_attempts()
    regions.fail(LOST)
    regions.cancel(force=False)
    assert [attempt.failure for attempt in regions.attempts] == [LOST, LOST]
    assert [attempt.state for attempt in regions.attempts] == [JobState.FAILED, JobState.FAILED]


def test_regions_that_have_finished_begin_again_with_the_others() -> None:
    regions = regions_with_attempts()
    assert not Regions().are_all_finished
    for region in regions.all:
        region.end(is_finished=True)
    assert regions.are_all_finished
    assert regions.are_all_running
    regions.revive()
    assert regions.idle == regions.all
    assert not regions.are_all_running
