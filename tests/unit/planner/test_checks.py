"""Checks of a whole plan when it is submitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.connectors.sockets.text import SocketTextSource
from shmflink.errors import JobGraphError
from shmflink.plan.calls import KeyBy, Map, Read, Union, Values, Write
from shmflink.planner.checks import check_targets, check_uids, delivery_warnings

EVERY_SECOND = {"execution.checkpointing.interval": "1s"}


class Refusing(DiscardSink):
    def check_target(self, configuration: Any) -> None:
        raise JobGraphError("there is something already")


def test_a_socket_is_at_most_once_and_says_so_once(writer: PlanWriter) -> None:
    """[S11] Named where checkpoints let one expect more."""
    numbers = writer.call(Read(NumberSequenceSource(0, 1), "numbers"))
    assert delivery_warnings(writer.plan, EVERY_SECOND) == []
    socket = writer.call(Read(SocketTextSource("here", 1), "lines"))
    union = writer.call(Union(), numbers, replace(socket, output_type=numbers.output_type))
    writer.call(Write(DiscardSink(), "a"), union)
    writer.call(Write(DiscardSink(), "b"), union)
    (text,) = delivery_warnings(writer.plan, EVERY_SECOND)
    assert text.startswith("source 'lines' (SocketTextSource) cannot be read again")
    assert "at most once" in text
    assert delivery_warnings(writer.plan, {}) == []


def test_a_sink_may_refuse_the_job(writer: PlanWriter) -> None:
    writer.call(Write(Refusing(), "files"), writer.table())
    with pytest.raises(JobGraphError, match="there is something already"):
        check_targets(writer.plan, {})


def test_uids_are_wanted_of_what_the_program_wrote_and_of_nothing_else(writer: PlanWriter) -> None:
    keyed = writer.call(KeyBy(len), writer.table())
    writer.call(Values(), keyed)
    writer.call(Map(str), keyed)
    with pytest.raises(JobGraphError, match=r"no uid is set for 'table' \(job.py:1\), 'Map' \(job.py:4\): call"):
        check_uids(writer.plan)
