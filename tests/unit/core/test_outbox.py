from __future__ import annotations

import threading
from typing import Any

import pytest
from oracle.mailboxes import WaitableMailbox

from shmflink.core.outbox import Outbox


@pytest.fixture
def mailbox() -> WaitableMailbox:
    return WaitableMailbox()


def test_items_are_delivered_in_order_then_completed(mailbox: WaitableMailbox) -> None:
    done: list[Any] = []
    outbox = Outbox("test", mailbox, done.append, lambda: done.append("end"), items_max=2)
    for item in range(5):
        mailbox.wait_until(lambda: outbox.is_available)
        outbox.put(item)
    outbox.finish()
    mailbox.wait_until(lambda: outbox.is_finished)
    assert done == [0, 1, 2, 3, 4, "end"]
    assert outbox.close()


def test_a_full_outbox_is_not_available_until_there_is_room(mailbox: WaitableMailbox) -> None:
    gate = threading.Semaphore(0)
    outbox = Outbox("test", mailbox, lambda item: gate.acquire(), items_max=1)
    outbox.put(1)
    mailbox.wait_until(lambda: outbox.is_available)  # the thread holds item 1
    outbox.put(2)
    assert not outbox.is_available
    gate.release()
    mailbox.wait_until(lambda: outbox.is_available)
    gate.release()
    outbox.close()


def test_an_error_reaches_the_slot(mailbox: WaitableMailbox) -> None:
    def fail(item: Any) -> None:
        raise OSError("disk full")

    outbox = Outbox("test", mailbox, fail)
    outbox.put(1)
    with pytest.raises(OSError, match="disk full"):
        mailbox.wait_until(lambda: outbox.is_finished)
    outbox.close()


def test_close_throws_away_what_waits(mailbox: WaitableMailbox) -> None:
    done: list[Any] = []

    def deliver(item: Any) -> None:
        while not outbox._is_abandoned:
            threading.Event().wait(0.001)
        done.append(item)

    outbox = Outbox("test", mailbox, deliver, items_max=4)
    for item in (1, 2, 3):
        outbox.put(item)
    assert outbox.close()
    assert done in ([], [1])  # at most what was being delivered already


def test_an_idle_outbox_says_so_again_and_again(mailbox: WaitableMailbox) -> None:
    idle: list[int] = []
    third = threading.Event()

    def note() -> None:
        idle.append(1)
        if len(idle) == 3:
            third.set()

    done: list[Any] = []
    outbox = Outbox("test", mailbox, done.append, idle=note, idle_seconds=0.001)
    assert third.wait(20)
    outbox.put(1)
    outbox.finish()
    mailbox.wait_until(lambda: outbox.is_finished)
    assert done == [1]
    outbox.close()
