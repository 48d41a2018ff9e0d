"""All metrics in Prometheus' text format, with the names and labels of Flink's own reporter.

`flink_jobmanager_<metric>`, `flink_jobmanager_job_<metric>`, `flink_taskmanager_<metric>`,
`flink_taskmanager_job_task_<metric>` and `flink_taskmanager_job_task_operator_<metric>`. Needs `prometheus-client`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.rest.blocking import in_thread
from shmflink.rest.context import Context
from shmflink.rest.errors import handler_error
from shmflink.rest.metric_values import (
    Value,
    job_metrics,
    jobmanager_metrics,
    operator_metrics,
    process_metrics,
    task_metrics,
)
from shmflink.rest.process_facts import ProcessFacts, process_facts
from shmflink.rest.rates import rates
from shmflink.rest.snapshots import JobSnapshot, UnknownJobError
from shmflink.rest.views.states import TERMINAL
from shmflink.rest.views.vertices import vertex_id
from shmflink.rpc.read_messages import ClusterRead, JobsRead

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

__all__ = ["CONTENT_TYPE", "Sample", "exposition", "samples"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_NAME: Final = re.compile(r"[^a-zA-Z0-9:_]")
_MISSING: Final = "metrics for Prometheus need the package prometheus-client: pip install 'shmflink[rest]'"


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one thing."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What the samples are made of. `facts`: by pid."""

    host: str
    cluster: ClusterRead
    jobs: JobsRead
    facts: Mapping[int, ProcessFacts]
    running: Sequence[JobSnapshot]


async def exposition(context: Context) -> bytes:
    """RestError 404 if the package is not there. The text is made in a thread: it may be large."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise handler_error(404, _MISSING)
    return await in_thread(_text, await _gathered(context))


async def _gathered(context: Context) -> _Gathered:
    snapshots = context.snapshots
    cluster, read = await snapshots.cluster(), await snapshots.jobs()
    pids = (cluster.pid, *(one.pid for one in cluster.taskmanagers))
    facts = {pid: await in_thread(process_facts, pid) for pid in pids}
    running = []
    for job in read.jobs:
        if job.overview.state.value not in TERMINAL:
            with contextlib.suppress(UnknownJobError):  # it has ended since the list was made
                running.append(await snapshots.whole_job(job.overview.job_id))
    return _Gathered(context.host, cluster, read, facts, running)


def _text(gathered: _Gathered) -> bytes:
    import prometheus_client

    class Collector:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield from _families(_all_samples(gathered))

    registry = prometheus_client.CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return bytes(prometheus_client.generate_latest(registry))


def _families(found: Iterable[Sample]) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    by_name: dict[str, list[Sample]] = {}
    for sample in found:
        by_name.setdefault(sample.name, []).append(sample)
    for name, same in by_name.items():
        labels = list(same[0].labels)
        family = GaugeMetricFamily(name, name.rpartition("_")[2], labels=labels)
        for sample in same:
            family.add_metric([sample.labels[label] for label in labels], sample.value)
        yield family


def _all_samples(gathered: _Gathered) -> Iterator[Sample]:
    host, cluster = gathered.host, gathered.cluster
    of_jobmanager = jobmanager_metrics(cluster, gathered.jobs, gathered.facts[cluster.pid])
    yield from _samples("jobmanager", {"host": host}, of_jobmanager)
    for one in cluster.taskmanagers:
        labels = {"host": host, "tm_id": one.name}
        yield from _samples("taskmanager", labels, process_metrics(gathered.facts[one.pid]))
    for job in gathered.running:
        yield from samples(job, host)


def samples(job: JobSnapshot, host: str) -> list[Sample]:
    """Of one job, its subtasks and their operators."""
    overview = job.read.summary.overview
    labels = {"job_id": overview.job_id.hex, "job_name": overview.name, "host": host}
    found = list(_samples("jobmanager_job", labels, job_metrics(job.read, job.now_ms)))
    for shape, sample in zip(job.read.vertices, job.vertices, strict=True):
        for task, rate in zip(sample.read.tasks, rates(sample, job.now_ms), strict=True):
            scope = labels | {
                "task_id": vertex_id(shape),
                "task_name": shape.name,
                "subtask_index": str(task.summary.subtask),
                "task_attempt_num": str(task.attempt),
                "tm_id": task.taskmanager,
            }
            metrics = task_metrics(shape, task, rate)
            own = {name: value for name, value in metrics.items() if "." not in name}
            found += _samples("taskmanager_job_task", scope, own)
            for index, operator in enumerate(task.summary.operators if metrics else ()):
                inner = scope | {"operator_id": shape.operators[index].operator_id, "operator_name": operator.name}
                values = operator_metrics(shape, task, rate, index, operator)
                found += _samples("taskmanager_job_task_operator", inner, values)
    return found


def _samples(scope: str, labels: Mapping[str, str], metrics: Mapping[str, Value]) -> Iterator[Sample]:
    """Texts are no samples; Flink's reporter leaves them out as well."""
    for name, value in metrics.items():
        if not isinstance(value, str):
            yield Sample(f"flink_{scope}_{_NAME.sub('_', name)}", labels, float(value))
