"""Clean-ups that finalizers request."""

from __future__ import annotations

import threading

from shmflink.client.abandoned import Abandoned


def test_what_was_put_is_done_when_work_off_returns():
    done: list[int] = []
    abandoned = Abandoned()
    for number in range(3):
        abandoned.put(lambda number=number: done.append(number))
    abandoned.work_off()
    assert done == [0, 1, 2]


def test_its_thread_does_it_by_itself():
    done = threading.Event()
    abandoned = Abandoned()
    abandoned.watch()
    abandoned.put(done.set)
    assert done.wait(60)
