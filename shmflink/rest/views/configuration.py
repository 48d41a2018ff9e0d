"""Configurations, with secrets left out: of the cluster, of a job, of the REST server itself."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

from shmflink.config.options import DEFAULT_PARALLELISM, GLOBAL_JOB_PARAMETERS, OBJECT_REUSE
from shmflink.config.restart_options import RESTART_STRATEGY
from shmflink.rest.views.jobs import FLINK_COMMIT, FLINK_VERSION
from shmflink.rpc.read_messages import JobRead

__all__ = ["HIDDEN", "dashboard_config", "entries", "is_secret", "job_config"]

HIDDEN: Final = "******"
"""What stands for a secret (Flink: GlobalConfiguration.HIDDEN_CONTENT)."""
_SECRET: Final = (
    "password", "secret", "fs.azure.account.key", "apikey", "api-key", "auth-params", "service-key", "token",
    "basic-auth", "jaas.config", "http-headers", "credential", "private-key",
)  # fmt: skip
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")

Json = dict[str, object]


def is_secret(key: str) -> bool:
    """Whether the value of this key is nobody's business (Flink's list, and a few more)."""
    lowered = key.lower()
    return any(part in lowered for part in _SECRET)


def shown(key: str, value: str) -> str:
    """The value, unless it is a secret; passwords inside URLs are left out as well."""
    return HIDDEN if is_secret(key) else _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)


def entries(configuration: Mapping[str, str]) -> list[Json]:
    """`/jobmanager/config` and its like, by key."""
    return [{"key": key, "value": shown(key, value)} for key, value in sorted(configuration.items())]


def job_config(read: JobRead) -> Json:
    """`/jobs/:jobid/config`."""
    configuration = read.configuration
    return {
        "jid": read.summary.overview.job_id.hex,
        "name": read.summary.overview.name,
        "execution-config": {
            "restart-strategy": _restart_strategy(configuration),
            "job-parallelism": DEFAULT_PARALLELISM.read(configuration) or read.summary.overview.parallelism,
            "object-reuse-mode": OBJECT_REUSE.read(configuration),
            "user-config": _user_config(configuration),
        },
    }


def _restart_strategy(configuration: Mapping[str, str]) -> str:
    chosen = RESTART_STRATEGY.read(configuration)
    return f"Restart strategy {chosen.lower()}" if chosen else "Cluster level default restart strategy"


def _user_config(configuration: Mapping[str, str]) -> dict[str, str]:
    parameters = GLOBAL_JOB_PARAMETERS.read(configuration) or {}
    return {key: shown(key, value) for key, value in parameters.items()}


def dashboard_config(refresh_ms: int, zone: time.struct_time, *, may_cancel: bool) -> Json:
    """`/config`. `zone`: a local time."""
    return {
        "refresh-interval": refresh_ms,
        "timezone-name": zone.tm_zone,
        "timezone-offset": zone.tm_gmtoff * 1000,
        "flink-version": FLINK_VERSION,
        "flink-revision": f"{FLINK_COMMIT} @ 1970-01-01T00:00:00+00:00",
        "features": {"web-submit": False, "web-cancel": may_cancel, "web-rescale": False, "web-history": False},
    }
