"""The simulation's channels fulfill the channel contract, and detect tasks that violate it."""

from __future__ import annotations

from random import Random

import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import EndOfData, Watermark
from shmflink.testing.simulation.channels import Bell, SimulatedChannel
from shmflink.testing.simulation.world import ViolationError, World


@pytest.fixture
def channel():
    bell = Bell()
    return SimulatedChannel("a channel", 2, 8, World(lambda _: False), [], bell, bell)


def test_elements_come_in_their_order_whenever_they_come(channel):
    sent = [Batch.of_rows([1]), Watermark(5), Batch.of_rows([2]), EndOfData()]
    for element in sent:
        if isinstance(element, Batch):
            assert channel.try_push(element)
            channel.ship(element)
        else:
            channel.push_control(element)
    taken = []
    rng = Random(1)
    while channel.is_busy or channel.queue:
        if channel.is_busy:
            channel.move(rng)
        if channel.queue and rng.random() < 0.5:
            taken.append(channel.pop())
    assert taken == sent
    channel.check(opened=0)


def test_without_credit_nothing_is_sent_and_a_lost_credit_is_noticed(channel):
    assert channel.try_push(Batch.of_rows([1]))
    assert channel.try_push(Batch.of_rows([2]))
    assert not channel.try_push(Batch.of_rows([3]))
    channel.check(opened=2)
    with pytest.raises(ViolationError, match="1 credits of 2"):
        channel.check(opened=1)


def test_what_breaks_the_order_is_noticed(channel):
    channel.push_control(Watermark(5))
    with pytest.raises(ViolationError, match="a watermark went back to 4"):
        channel.push_control(Watermark(4))
    channel.push_control(EndOfData())
    with pytest.raises(ViolationError, match="after the end of a channel"):
        channel.push_control(Watermark(6))
    with pytest.raises(ViolationError, match="a batch after the end"):
        channel.ship(Batch.of_rows([1]))
