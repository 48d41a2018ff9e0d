"""The note that a JobManager leaves for programs that wait for its HA directory."""

from __future__ import annotations

import orjson
import pytest

from shmflink.core.ids import JobId
from shmflink.jobmanager.result_note import EndedJob, dump_note, load_note
from shmflink.rpc.messages import Failure, JobEnded
from shmflink.rpc.states import JobState

_FAILED = EndedJob(
    1, "counts", "/jobs/a.py", ("--day", "1"), JobEnded(JobId("0" * 32), JobState.FAILED, 12, Failure("A", "b"), ())
)


def test_a_note_says_what_was_put_into_it() -> None:
    assert load_note(dump_note([_FAILED])) == (_FAILED,)


@pytest.mark.parametrize(
    "changed",
    [
        {"failure": ["A"]},
        {"state": "LOST"},
        {"runtime_ms": None},
        {"number": "first"},
        {"failure": []},
    ],
    ids=str,
)
def test_a_damaged_note_says_nothing(changed: dict[str, object]) -> None:
    """The JobManager that finds it runs the job again; it does not end."""
    (fields,) = orjson.loads(dump_note([_FAILED]))
    assert load_note(orjson.dumps([{**fields, **changed}])) == ()
    assert load_note(orjson.dumps([[*fields]])) == ()
    assert load_note(b"[") == ()
    assert load_note(b"1") == ()
