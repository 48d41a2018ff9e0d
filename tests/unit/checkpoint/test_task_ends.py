"""How close the tasks of the running attempts are to their end."""

from __future__ import annotations

from shmflink.checkpoint.task_ends import TaskEnds
from shmflink.core.ids import SubtaskId

SINK, GLOBAL_COMMITTER = SubtaskId(0, 0), SubtaskId(1, 0)


def test_the_last_checkpoint_is_due_when_all_tasks_wait_for_one() -> None:
    ends = TaskEnds((SINK, GLOBAL_COMMITTER))
    ends.reach_end(SINK, ())
    assert not ends.is_final_due
    ends.reach_end(GLOBAL_COMMITTER, ())
    assert ends.is_final_due
    ends.serve((SINK, GLOBAL_COMMITTER))
    assert not ends.is_over


def test_a_task_that_was_served_may_wait_for_another_checkpoint() -> None:
    """A global committer that still commits is drained: it announces its end again."""
    ends = TaskEnds((SINK, GLOBAL_COMMITTER))
    ends.reach_end(SINK, ())
    ends.reach_end(GLOBAL_COMMITTER, ())
    ends.serve((SINK, GLOBAL_COMMITTER))
    ends.finish(SINK, ())
    ends.reach_end(GLOBAL_COMMITTER, ())
    assert ends.is_over
    assert ends.is_final_due
