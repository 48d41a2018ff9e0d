"""Counters through a status page."""

from __future__ import annotations

from shmflink._core import StatusPage
from shmflink.metrics.counters import OperatorCounters, TaskCounters, blocks_of_task, page_words


def test_what_is_published_is_read_also_a_watermark_before_1970() -> None:
    page = StatusPage.create(page_words(blocks_of_task(2) + 1))
    task, operator = TaskCounters(page, 1), OperatorCounters(page, 2)
    task.watermark_ms, task.records_in, operator.busy_ns = -5, 2**40, 7
    task.publish()
    operator.publish()
    assert TaskCounters.read(page, 1).as_dict() == task.as_dict()
    assert OperatorCounters.read(page, 2).as_dict() == operator.as_dict()
    assert OperatorCounters.read(page, 3).busy_ns == 0
