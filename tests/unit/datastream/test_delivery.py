"""What checkpoints cannot promise is said when a job is submitted."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from shmflink.common import Configuration
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.connectors.sockets.text import SocketTextSource
from shmflink.datastream.delivery import delivery_warnings
from shmflink.planner.transformations import SourceTransformation, UnionTransformation

EVERY_SECOND = {"execution.checkpointing.interval": "1s"}


def union_of(*sources: Any) -> UnionTransformation:
    inputs = tuple(SourceTransformation(id=at, name=f"s{at}", source=one) for at, one in enumerate(sources))
    return UnionTransformation(9, "union", inputs)


def test_a_socket_is_at_most_once_and_says_so_once():
    """[S11] Named where checkpoints let one expect more."""
    union = union_of(NumberSequenceSource(0, 1), SocketTextSource("here", 1))
    (text,) = delivery_warnings([union, union], EVERY_SECOND)
    assert text.startswith("source 's1' (SocketTextSource) cannot be read again")
    assert "at most once" in text
    assert delivery_warnings([union], {}) == []
    assert delivery_warnings([union_of(NumberSequenceSource(0, 1))], EVERY_SECOND) == []


def test_the_environment_warns_when_it_submits(env: Any):
    env.socket_text_stream("localhost", 4711).print()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.execute_async()
    env.configure(Configuration.from_dict(EVERY_SECOND))
    env.socket_text_stream("localhost", 4711).print()
    with pytest.warns(UserWarning, match="'Socket Stream'"):
        env.execute_async()
