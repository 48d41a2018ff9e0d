"""Counters of the data loop and their readers. The loop only counts; others read and draw.

The metrics of users' functions have PyFlink's names (`pyflink.metrics`).

Imports `core` and `errors`. Must not know of tasks, processes or RPC.
"""

from __future__ import annotations

from shmflink.metrics.metric_group import Counter, Distribution, Meter, MetricGroup

__all__ = ["Counter", "Distribution", "Meter", "MetricGroup"]
