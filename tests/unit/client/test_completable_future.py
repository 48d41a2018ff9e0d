"""PyFlink's CompletableFuture."""

from __future__ import annotations

import threading

import pytest

from shmflink.client.completable_future import CompletableFuture


def test_a_value():
    future = CompletableFuture()
    assert not future.done()
    assert future.exception() is None
    waiter = threading.Thread(target=lambda: future.complete(7))
    waiter.start()
    assert future.result() == 7
    waiter.join()
    assert future.done()
    assert not future.cancelled()
    future.complete(8)
    assert future.result() == 7


def test_an_exception():
    error = ValueError("boom")
    future = CompletableFuture.failed(error)
    assert future.exception() is error
    with pytest.raises(ValueError, match="boom"):
        future.result()
    assert str(future) == "CompletableFuture[completed exceptionally]"


def test_cancel():
    future = CompletableFuture()
    assert future.cancel()
    assert future.cancelled()
    assert future.exception() is None
    future.complete(1)
    assert not CompletableFuture.completed(1).cancel()


def test_as_text():
    assert str(CompletableFuture()) == "CompletableFuture[not completed]"
    assert str(CompletableFuture.completed(1)) == "CompletableFuture[completed normally]"
