"""The CPUs of a host's TaskManagers: to which ones each is pinned, and whether slots share CPUs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

from shmflink.config.options import CPU_PINNING, SLOTS_PER_TASKMANAGER
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ResourceError
from shmflink.jobmanager.placement import CpuClaims, placed, usable_cpus
from shmflink.rpc.runtime_folder import own_folder, runtime_folders

__all__ = ["SPIN_NS", "HostCpus", "claim_cpus", "taskmanager_count"]

_LOG: Final = logging.getLogger(__name__)
SPIN_NS: Final = 50_000  # waking a sleeping slot costs 20 us; a longer spin would waste CPU
_UNPINNED: Final = "TaskManagers for which none is left run unpinned"


@dataclass(frozen=True, slots=True)
class HostCpus:
    """`pinned`: the CPUs to which each TaskManager is pinned; none if it runs unpinned. `are_shared`: there are fewer
    CPUs than slots. `spin_ns`: how long a slot may spin before it sleeps. `claims` reserve the CPUs.
    """

    pinned: tuple[tuple[int, ...], ...]
    are_shared: bool
    spin_ns: int
    claims: CpuClaims | None


def taskmanager_count(slots: int, configuration: Mapping[str, str]) -> int:
    """The number of TaskManagers of a cluster with this many slots."""
    return -(-slots // SLOTS_PER_TASKMANAGER.read(configuration))


def claim_cpus(slots: int, configuration: Mapping[str, str], environment: Mapping[str, str]) -> HostCpus:
    """Claims CPUs for the TaskManagers that a cluster starts with. Blocks."""
    cpus = usable_cpus()
    count = taskmanager_count(slots, configuration)
    are_shared = slots > len(cpus)
    spin_ns = 0 if are_shared else SPIN_NS
    claims = _claims(environment) if CPU_PINNING.read(configuration) else None
    if claims is None:
        return HostCpus(((),) * count, are_shared, spin_ns, None)
    claimed = claims.claim(cpus, slots)
    if len(claimed) < min(slots, len(cpus)):  # slots of other clusters spin on them
        _LOG.info("%d of %d CPUs are used by another cluster: %s", len(cpus) - len(claimed), len(cpus), _UNPINNED)
        spin_ns = 0
    pinned = placed(cpus, claimed, count, SLOTS_PER_TASKMANAGER.read(configuration))
    return HostCpus(tuple(pinned), are_shared, spin_ns, claims)


def _claims(environment: Mapping[str, str]) -> CpuClaims | None:
    """None if this user has no folder for the claims: then every TaskManager runs unpinned."""
    try:
        return CpuClaims(own_folder(runtime_folders(environment, os.getuid())))
    except (OSError, ResourceError) as error:
        _LOG.warning("TaskManagers run unpinned: %s", error)
        return None
