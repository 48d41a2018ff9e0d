"""Guarantees that checkpoints cannot give are reported when a job is submitted."""

from __future__ import annotations

import warnings

import pytest

from shmflink.common import Configuration
from shmflink.datastream import StreamExecutionEnvironment

EVERY_SECOND = {"execution.checkpointing.interval": "1s"}


def test_the_environment_warns_when_it_submits(env: StreamExecutionEnvironment):
    env.socket_text_stream("localhost", 4711).print()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.execute_async()
    env.configure(Configuration.from_dict(EVERY_SECOND))
    env.socket_text_stream("localhost", 4711).print()
    with pytest.warns(UserWarning, match="'Socket Stream'"):
        env.execute_async()
