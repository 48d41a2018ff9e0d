"""`/config`, `/overview`, `/jobmanager`, `/taskmanagers`, `/applications`, and the end of the cluster."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Final

from shmflink.core.ids import JobId
from shmflink.errors import RequestFailedError, RpcError
from shmflink.rest.blocking import in_thread
from shmflink.rest.context import Context
from shmflink.rest.endpoints import Answer, Call, delete, get, post
from shmflink.rest.errors import handler_error, internal, unavailable
from shmflink.rest.handlers.jobs import cancel
from shmflink.rest.log_files import LOG_TEXT, LogFile, read_log
from shmflink.rest.process_facts import log_file, memory_of_host, process_facts, threads
from shmflink.rest.snapshots import UnknownJobError
from shmflink.rest.views import jobs as jobs_view
from shmflink.rest.views import taskmanagers as view
from shmflink.rest.views.applications import application, applications
from shmflink.rest.views.configuration import dashboard_config, entries
from shmflink.rest.views.exceptions import application_exceptions
from shmflink.rpc.control_messages import ClusterDescription, StopCluster
from shmflink.rpc.read_messages import JobSummary, TaskManagerRead

__all__ = ["ENDPOINTS", "find_taskmanager"]

_UNKNOWN_TASKMANAGER: Final = "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException"
_UNKNOWN_APPLICATION: Final = "org.apache.flink.runtime.messages.FlinkApplicationNotFoundException"
_NO_PROFILER: Final = "The profiler is not there: attach py-spy or perf to the process"


async def _config(call: Call) -> Answer:
    settings = call.context.settings
    zone = time.localtime(call.context.snapshots.now_ms() / 1000)
    return Answer(dashboard_config(settings.refresh_ms, zone, may_cancel=settings.may_cancel))


async def _overview(call: Call) -> Answer:
    snapshots = call.context.snapshots
    return Answer(jobs_view.overview(await snapshots.cluster(), await snapshots.jobs()))


async def _shut_down(call: Call) -> Answer:
    try:
        await call.context.control.ask(StopCluster(), ClusterDescription, is_urgent=True)
    except RequestFailedError as error:
        raise handler_error(409, str(error)) from None
    except RpcError as error:
        raise unavailable(str(error)) from None
    return Answer({})


# --- the JobManager ---


async def _jobmanager_config(call: Call) -> Answer:
    cluster = await call.context.snapshots.cluster()
    return Answer(entries({**cluster.configuration, "cluster.name": cluster.name}))


async def _environment(_: Call) -> Answer:
    return Answer(view.environment())


async def _jobmanager_pid(call: Call) -> int:
    return (await call.context.snapshots.cluster()).pid


async def _jobmanager_logs(call: Call) -> Answer:
    return await _logs(await _jobmanager_pid(call))


async def _jobmanager_log(call: Call) -> Answer:
    return await _log(call, await _jobmanager_pid(call), "JobManager")


async def _jobmanager_threads(call: Call) -> Answer:
    return Answer(view.thread_dump(await in_thread(threads, await _jobmanager_pid(call))))


async def _job_jobmanager_config(call: Call) -> Answer:
    await call.context.job(call.job_id)
    return await _jobmanager_config(call)


async def _job_environment(call: Call) -> Answer:
    await call.context.job(call.job_id)
    return Answer(view.environment())


async def _job_log_url(call: Call) -> Answer:
    await call.context.job(call.job_id)
    return Answer({"url": f"{call.context.base_url}/#/job-manager/logs"})


async def _job_taskmanager_log_url(call: Call) -> Answer:
    await call.context.job(call.job_id)
    return Answer({"url": f"{call.context.base_url}/#/task-manager/{call.path['taskmanagerid']}/logs"})


# --- TaskManagers ---


async def _taskmanagers(call: Call) -> Answer:
    snapshots = call.context.snapshots
    cluster = await snapshots.cluster()
    tasks = await _tasks_of(call.context, {one.job_id for one in cluster.taskmanagers if one.job_id is not None})
    return Answer(view.taskmanagers(cluster.taskmanagers, tasks, await _host(call.context), snapshots.now_ms()))


async def _taskmanager(call: Call) -> Answer:
    context = call.context
    one = await find_taskmanager(call)
    tasks = await _tasks_of(context, set() if one.job_id is None else {one.job_id})
    facts = await in_thread(process_facts, one.pid)
    host = await _host(context)
    detail = view.taskmanager_detail(one, tasks.get(one.name, 0), host, context.snapshots.now_ms(), facts)
    return Answer(detail)


async def find_taskmanager(call: Call) -> TaskManagerRead:
    """RestError 500 if there is none of this name, as Flink answers."""
    name = call.path["taskmanagerid"]
    cluster = await call.context.snapshots.cluster()
    found = next((one for one in cluster.taskmanagers if one.name == name and one.is_ready), None)
    if found is None:
        raise internal(f"{_UNKNOWN_TASKMANAGER}: No TaskExecutor registered under {name}.")
    return found


async def _tasks_of(context: Context, job_ids: set[JobId]) -> Counter[str]:
    """How many subtasks of these jobs each TaskManager runs."""
    found: Counter[str] = Counter()
    for job_id in job_ids:
        try:
            job = await context.snapshots.whole_job(job_id)
        except UnknownJobError:
            continue  # it has just ended
        found.update(task.taskmanager for sample in job.vertices for task in sample.read.tasks if task.taskmanager)
    return found


async def _host(context: Context) -> view.HostFacts:
    memory, available = await in_thread(memory_of_host)
    return view.HostFacts(context.host, os.cpu_count() or 1, memory, available)


async def _taskmanager_logs(call: Call) -> Answer:
    return await _logs((await find_taskmanager(call)).pid)


async def _taskmanager_log(call: Call) -> Answer:
    return await _log(call, (await find_taskmanager(call)).pid, "TaskExecutor")


async def _taskmanager_threads(call: Call) -> Answer:
    return Answer(view.thread_dump(await in_thread(threads, (await find_taskmanager(call)).pid)))


# --- logs ---


async def _logs(pid: int) -> Answer:
    path = await in_thread(log_file, pid)
    found = None if path is None else await in_thread(LogFile.of, path)
    files = [] if found is None else [{"name": found.name, "size": found.size, "mtime": found.changed_ms}]
    return Answer({"logs": files})


async def _log(call: Call, pid: int, owner: str) -> Answer:
    path = await in_thread(log_file, pid)
    name = call.path.get("logname")
    if path is None or name not in (None, os.path.basename(path)):
        raise handler_error(404, f"This file does not exist in {owner} log dir.")
    cluster = await call.context.snapshots.cluster()
    return Answer(await in_thread(read_log, path, cluster.configuration), content_type=LOG_TEXT)


async def _no_profiles(_: Call) -> Answer:
    return Answer({"profilingList": []})


async def _no_profiler(_: Call) -> Answer:
    raise handler_error(404, _NO_PROFILER)


# --- applications ---


async def _applications(call: Call) -> Answer:
    snapshots = call.context.snapshots
    return Answer(applications(await snapshots.jobs(), snapshots.now_ms()))


async def _application_job(call: Call) -> JobSummary:
    found = await call.context.find_job(JobId(call.path["applicationid"]))
    if found is None:
        unknown = call.path["applicationid"]
        raise internal(f"{_UNKNOWN_APPLICATION}: Could not find Flink application ({unknown})")
    return found


async def _application(call: Call) -> Answer:
    return Answer(application(await _application_job(call), call.context.snapshots.now_ms()))


async def _application_exceptions(call: Call) -> Answer:
    job = await _application_job(call)
    return Answer(application_exceptions(await call.context.job(job.overview.job_id)))


async def _application_config(call: Call) -> Answer:
    await _application_job(call)
    return await _jobmanager_config(call)


async def _cancel_application(call: Call) -> Answer:
    job = await _application_job(call)
    await cancel(call.context, job.overview.job_id)
    return Answer({}, 202)


_APPLICATION: Final = "/applications/:applicationid"
_ONE: Final = "/taskmanagers/:taskmanagerid"

ENDPOINTS: Final = (
    get("/config", _config, "What the dashboard offers"),
    get("/overview", _overview, "Slots and jobs of the cluster"),
    delete("/cluster", _shut_down, "Cancels all jobs and ends the cluster", 200, 409),
    get("/jobmanager/config", _jobmanager_config, "The configuration of the cluster, without secrets"),
    get("/jobmanager/environment", _environment, "The Python that runs the cluster"),
    get("/jobmanager/logs", _jobmanager_logs, "The log file of the cluster, if it has one"),
    get("/jobmanager/logs/:logname", _jobmanager_log, "A log file", 200, 404),
    get("/jobmanager/log", _jobmanager_log, "The log", 200, 404),
    get("/jobmanager/stdout", _jobmanager_log, "The log: it holds the standard output, too", 200, 404),
    get("/jobmanager/thread-dump", _jobmanager_threads, "Threads of the JobManager"),
    get("/jobmanager/profiler", _no_profiles, "Profiles: none"),
    post("/jobmanager/profiler", _no_profiler, "Not there", 404),
    get("/jobs/:jobid/jobmanager/config", _job_jobmanager_config, "The configuration of the cluster", 200, 404),
    get("/jobs/:jobid/jobmanager/environment", _job_environment, "The Python that runs the cluster", 200, 404),
    get("/jobs/:jobid/jobmanager/log-url", _job_log_url, "Where the log is shown", 200, 404),
    get("/jobs/:jobid/taskmanagers/:taskmanagerid/log-url", _job_taskmanager_log_url, "Where a log is shown", 200, 404),
    get("/taskmanagers", _taskmanagers, "All TaskManagers"),
    get(_ONE, _taskmanager, "One TaskManager", 200, 500),
    get(f"{_ONE}/logs", _taskmanager_logs, "The log file of a TaskManager: that of the cluster", 200, 500),
    get(f"{_ONE}/logs/:logname", _taskmanager_log, "A log file", 200, 404, 500),
    get(f"{_ONE}/log", _taskmanager_log, "The log", 200, 404, 500),
    get(f"{_ONE}/stdout", _taskmanager_log, "The log: it holds the standard output, too", 200, 404, 500),
    get(f"{_ONE}/thread-dump", _taskmanager_threads, "Threads of a TaskManager", 200, 500),
    get(f"{_ONE}/profiler", _no_profiles, "Profiles: none"),
    post(f"{_ONE}/profiler", _no_profiler, "Not there", 404),
    get("/applications/overview", _applications, "Every job as an application of one job"),
    get(_APPLICATION, _application, "One application", 200, 500),
    get(f"{_APPLICATION}/exceptions", _application_exceptions, "Why it failed", 200, 404, 500),
    get(f"{_APPLICATION}/jobmanager/config", _application_config, "The configuration of the cluster", 200, 500),
    post(f"{_APPLICATION}/cancel", _cancel_application, "Cancels its job", 202, 404, 409, 500),
)
