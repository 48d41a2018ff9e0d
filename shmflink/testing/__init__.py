"""The public test kit: the inline mini-cluster, the operator harness, the manual clock.

Imports everything. Nothing of shmflink imports it.
"""

from __future__ import annotations

from shmflink.testing.manual_clock import ManualClock
from shmflink.testing.mini_cluster import Channels, MiniCluster
from shmflink.testing.operator_harness import OperatorHarness

__all__ = ["Channels", "ManualClock", "MiniCluster", "OperatorHarness"]
