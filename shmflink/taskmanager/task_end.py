"""How a task ends: a pure state machine that decides what the task does once its inputs have ended.

    READING --inputs_ended--> ENDING --announced--> ANNOUNCED          (phase)

    COMMIT_AT_END, CHECKPOINT_IF_STAGED --drain--> CHECKPOINT          (duty: what has to happen before FINISHED)
    any --input_ended(drained=False)--> STOPPING --stop--> SAVED       (NONE: SAVED at once)

A task that has nothing to commit, or need not, is FINISHED as soon as its sinks have written everything.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["Duty", "EndPhase", "EndStep", "TaskEnd"]


class EndPhase(Enum):
    """How far the end has come."""

    READING = auto()
    ENDING = auto()  # all inputs have ended; the chain is being finished, or was
    ANNOUNCED = auto()  # as ENDING; and the JobManager knows that the task waits at its end


class Duty(Enum):
    """What has to happen before a task may be FINISHED."""

    NONE = auto()  # it was restored as finished: there is nothing to commit
    STOPPING = auto()  # a savepoint stopped a task before this one, which has yet to be told to commit what is in it
    SAVED = auto()  # a savepoint stopped the job: what was written after it is written again when the job resumes
    COMMIT_AT_END = auto()  # a job without checkpoints: what is staged is committed when all tasks have ended
    CHECKPOINT_IF_STAGED = auto()  # one more checkpoint, if anything is staged
    CHECKPOINT = auto()  # one more checkpoint, even if nothing is staged: the job is drained


class EndStep(Enum):
    """What a task at its end does now."""

    WAIT = auto()
    PREPARE = auto()  # makes the sinks prepare what they commit when all tasks have ended
    ANNOUNCE = auto()  # reports that it needs one more checkpoint
    FINISH = auto()


class TaskEnd:
    """Used by the slot's thread alone."""

    def __init__(self, *, is_restored_as_finished: bool = False, has_checkpoints: bool = True) -> None:
        """`has_checkpoints`: the job takes one more checkpoint for tasks that wait at their end."""
        self.phase = EndPhase.READING
        if is_restored_as_finished:
            self.duty = Duty.NONE
        else:
            self.duty = Duty.CHECKPOINT_IF_STAGED if has_checkpoints else Duty.COMMIT_AT_END

    # --- events ---

    def input_ended(self, *, drained: bool) -> None:
        """One input has ended. Not `drained`: the job stops with a savepoint, from which it will resume.

        The end of an input may be faster than the message that the savepoint is complete.
        """
        if not drained and self.duty is not Duty.SAVED:
            self.duty = Duty.SAVED if self.duty is Duty.NONE else Duty.STOPPING

    def inputs_ended(self) -> None:
        """No input follows."""
        if self.phase is EndPhase.READING:
            self.phase = EndPhase.ENDING

    def drain(self) -> bool:
        """The job ends as if this were all its input; False if that changes nothing.

        A task that has announced its end gets the next checkpoint anyway, or has had it.
        """
        if self.phase is EndPhase.ANNOUNCED or self.duty in (Duty.NONE, Duty.STOPPING, Duty.SAVED):
            return False
        self.duty = Duty.CHECKPOINT
        return True

    def stop(self) -> None:
        """A savepoint with which the job stops is complete."""
        self.duty = Duty.SAVED

    def announced(self) -> None:
        """The task has done the step PREPARE or ANNOUNCE."""
        assert self.phase is EndPhase.ENDING, f"announced the end in the phase {self.phase.name}"
        self.phase = EndPhase.ANNOUNCED

    # --- questions ---

    @property
    def is_ending(self) -> bool:
        """Whether all inputs have ended."""
        return self.phase is not EndPhase.READING

    @property
    def is_drained(self) -> bool:
        """Whether the input has really ended; False if the job resumes from a savepoint."""
        return self.duty not in (Duty.STOPPING, Duty.SAVED)

    def next_step(self, *, has_staged: bool, has_written: bool) -> EndStep:
        """`has_staged`: a sink has something to commit. `has_written`: no sink has a write in progress."""
        assert self.is_ending, "asked for the end of a task that reads"
        if self._waits(has_staged):
            if self.phase is EndPhase.ANNOUNCED or self.duty is Duty.STOPPING:
                return EndStep.WAIT
            return EndStep.PREPARE if self.duty is Duty.COMMIT_AT_END else EndStep.ANNOUNCE
        return EndStep.FINISH if has_written else EndStep.WAIT

    def _waits(self, has_staged: bool) -> bool:
        if self.duty in (Duty.NONE, Duty.SAVED):
            return False
        return has_staged or self.duty in (Duty.STOPPING, Duty.CHECKPOINT)
