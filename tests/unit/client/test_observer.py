"""What `python job.py` prints on standard error."""

from __future__ import annotations

import io
import sys

from shmflink.client.observer import TextObserver


def test_a_line_for_each_thing_that_a_person_should_know(capsys):
    TextObserver().cluster_says("Job 'a' restarts: no disk")
    assert capsys.readouterr() == ("", "Job 'a' restarts: no disk\n")


def test_standard_error_that_is_closed_or_was_never_there_is_no_error(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        TextObserver().cluster_says("nobody hears it")
