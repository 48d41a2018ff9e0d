"""A task's end under any order of events, against the rules written as plainly as possible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shmflink.taskmanager.task_end import EndStep, TaskEnd

EVENTS = st.lists(st.sampled_from(["ended", "stopped above", "drained above", "drain", "stop", "step", "idle step"]))


class Story:
    """What has happened, and what the rules make of it."""

    def __init__(self, *, restored_as_finished: bool, has_checkpoints: bool) -> None:
        self.end = TaskEnd(is_restored_as_finished=restored_as_finished, has_checkpoints=has_checkpoints)
        self.has_nothing_to_do = restored_as_finished
        self.has_checkpoints = has_checkpoints
        self.is_stopped = self.is_drained = self.has_ended = self.has_announced = False
        self.waits_for_stop = False

    def tell(self, event: str) -> None:
        match event:
            case "ended":
                self.end.inputs_ended()
                self.has_ended = True
            case "stopped above" | "drained above":
                self.end.input_ended(drained=event == "drained above")
                if event == "stopped above" and not self.is_stopped:
                    self.is_stopped = True
                    self.waits_for_stop = not self.has_nothing_to_do
            case "drain":
                takes = not (self.has_announced or self.has_nothing_to_do or self.is_stopped)
                assert self.end.drain() is takes
                self.is_drained |= takes
            case "stop":
                self.end.stop()
                self.is_stopped = True
                self.waits_for_stop = False

    def step(self, *, has_staged: bool, has_written: bool) -> EndStep:
        """The right step; what is to be announced is announced."""
        step = self.end.next_step(has_staged=has_staged, has_written=has_written)
        if self.waits_for_stop:
            assert step is EndStep.WAIT
            return step
        waits = not self.has_nothing_to_do and not self.is_stopped and (self.is_drained or has_staged)
        if not waits:
            assert step is (EndStep.FINISH if has_written else EndStep.WAIT)
        elif self.has_announced:
            assert step is EndStep.WAIT
        else:
            is_answered = self.has_checkpoints or self.is_drained  # a drained job takes one savepoint, at least
            assert step is (EndStep.ANNOUNCE if is_answered else EndStep.PREPARE)
            self.end.announced()
            self.has_announced = True
        return step


@given(st.booleans(), st.booleans(), EVENTS, st.booleans())
def test_the_end_follows_the_rules_whatever_happens_when(
    restored_as_finished: bool, has_checkpoints: bool, events: list[str], has_staged: bool
) -> None:
    story = Story(restored_as_finished=restored_as_finished, has_checkpoints=has_checkpoints)
    for event in events:
        if not event.endswith("step"):
            story.tell(event)
        elif story.has_ended:
            story.step(has_staged=has_staged, has_written=event == "step")
        assert story.end.is_ending is story.has_ended
        assert story.end.is_drained is not story.is_stopped


@given(st.booleans(), st.booleans(), EVENTS)
def test_every_end_is_reached(restored_as_finished: bool, has_checkpoints: bool, events: list[str]) -> None:
    """Whatever happened, a task is finished after its end was announced, all is committed, and a savepoint stops it."""
    story = Story(restored_as_finished=restored_as_finished, has_checkpoints=has_checkpoints)
    for event in [*events, "ended"]:
        story.tell(event)
    if story.waits_for_stop:
        assert story.step(has_staged=False, has_written=True) is EndStep.WAIT
        story.tell("stop")
    seen = [story.step(has_staged=True, has_written=True), story.step(has_staged=False, has_written=True)]
    if story.is_drained and not story.is_stopped:
        assert EndStep.FINISH not in seen
        story.tell("stop")
    assert story.step(has_staged=False, has_written=True) is EndStep.FINISH
