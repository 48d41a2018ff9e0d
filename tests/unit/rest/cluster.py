"""A JobManager that answers from memory, and the REST server's application over it: no socket, no process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from shmflink.checkpoint.history import AcknowledgedTask, CheckpointCounts, CheckpointRecord, CheckpointState
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import RequestFailedError
from shmflink.rest.cancellations import Cancellations
from shmflink.rest.context import Context
from shmflink.rest.operations import Operations
from shmflink.rest.rendered import Rendered
from shmflink.rest.settings import RestSettings
from shmflink.rest.snapshots import Snapshots
from shmflink.rpc import control_messages as control
from shmflink.rpc import read_messages as read
from shmflink.rpc.messages import Failure, OperatorSummary, TaskSummary
from shmflink.rpc.states import JobState, TaskState

NOW_MS = 1_800_000_100_000
STARTED_MS = NOW_MS - 60_000
RUNNING, FINISHED, FAILED, CANCELED = (JobId(digit * 32) for digit in "1234")
SOURCE_ID, WINDOW_ID = "a" * 32, "b" * 32
TASKMANAGER = "local-0-1"
PID = os.getpid()
BOOM = Failure(
    "ValueError", "boom", "Traceback ...\nValueError: boom", "to pairs", 0, "Source: numbers -> to pairs (1/2)", "7"
)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 0

    def monotonic_ns(self) -> int:
        return self.ms * 1_000_000

    def processing_time_ms(self) -> int:
        return NOW_MS + self.ms


def vertex(index: int, name: str, operators: Iterable[tuple[str, str, str]]) -> read.VertexShape:
    chain = list(operators)
    return read.VertexShape(
        index,
        name,
        2,
        128,
        "default",
        tuple(
            read.OperatorRead(identity, operator, operator, kind, (number + 1,) if number + 1 < len(chain) else ())
            for number, (identity, operator, kind) in enumerate(chain)
        ),
    )


VERTICES = (
    vertex(
        0, "Source: numbers -> to pairs", [(SOURCE_ID, "Source: numbers", "source"), ("c" * 32, "to <pairs>", "op")]
    ),
    vertex(1, "window sum -> drop: Writer", [(WINDOW_ID, "window sum", "op"), ("d" * 32, "drop: Writer", "sink")]),
)


def task(shape: read.VertexShape, subtask: int, state: TaskState) -> read.TaskRead:
    names = [operator.name for operator in shape.operators]
    operators = tuple(OperatorSummary(name, 100, 90, 5_000_000, 0) for name in names)
    summary = TaskSummary(
        shape.index, shape.name, subtask, state, 0, 100 * shape.index, 90, 800, 700, 6_000_000_000, 3_000_000_000,
        51_000_000_000, operators, 295_497,
    )  # fmt: skip
    times = {"CREATED": STARTED_MS, "DEPLOYING": STARTED_MS + 20, "INITIALIZING": STARTED_MS + 60}
    times["RUNNING"] = STARTED_MS + 100
    return read.TaskRead(summary, 0, TASKMANAGER, times | ({state.value: NOW_MS} if state.is_terminal else {}))


def checkpoint(number: int, state: CheckpointState, **changes: Any) -> CheckpointRecord:
    acks = tuple(
        AcknowledgedTask(SubtaskId(index, subtask), number * 1000 + 10 * subtask, 265, 265, 0, 1_000_000, 2_000_000, 0)
        for index in range(2)
        for subtask in range(2)
        if state is CheckpointState.COMPLETED or (index, subtask) == (0, 0)
    )
    record = CheckpointRecord(
        number, state, False, False, number * 1000, 164, number * 1000 + 10, 1060, 1060, 0, 1_000_000, 2_000_000, 0,
        len(acks), 0, 4, f"/checkpoints/{RUNNING}/chk-{number}", "", False, acks,
    )  # fmt: skip
    return replace(record, **changes)


def checkpoints() -> read.CheckpointsRead:
    completed = [checkpoint(number, CheckpointState.COMPLETED) for number in (4, 3)]
    savepoint = checkpoint(2, CheckpointState.COMPLETED, is_savepoint=True, path="/savepoints/savepoint-111111-aa")
    failed = checkpoint(1, CheckpointState.FAILED, path="", reason="expired", is_savepoint=True)
    under_way = checkpoint(5, CheckpointState.IN_PROGRESS, path="")
    history = (under_way, *completed, savepoint, failed)
    return read.CheckpointsRead(CheckpointCounts(5, 1, 3, 1, 0), history, completed[0], savepoint, failed, STARTED_MS)


def restored(found: read.CheckpointsRead) -> read.CheckpointsRead:
    counts = replace(found.counts, restored=1)
    return replace(found, counts=counts, restored_id=3, restored_ms=NOW_MS - 9, restored_path="/checkpoints/chk-3")


class JobManager:
    """One job in each state. Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.configuration = {"cluster.name": "default", "s3.secret-key": "hunter22", "parallelism.default": "2"}
        self.states = {
            RUNNING: JobState.RUNNING,
            FINISHED: JobState.FINISHED,
            FAILED: JobState.FAILED,
            CANCELED: JobState.CANCELED,
        }
        self.answers: dict[type, Callable[[Any], object]] = {}
        self.records = 0

    async def read(self, request: Any, kind: type) -> Any:
        self.asked.append(request)
        if isinstance(request, read.ReadCluster):
            taskmanager = read.TaskManagerRead(TASKMANAGER, PID, 2, True, 17, RUNNING)
            return read.ClusterRead(PID, "default", 4, 2, self.configuration, (taskmanager,))
        if isinstance(request, read.ReadJobs):
            return read.JobsRead(tuple(self.summary(job_id) for job_id in self.states))
        if request.job_id not in self.states or getattr(request, "vertex", 0) > 1:
            raise RequestFailedError("the JobManager has no such job")
        return self.job(request.job_id) if isinstance(request, read.ReadJob) else self.vertex(request)

    async def ask(self, request: Any, kind: type, *, is_urgent: bool = False) -> Any:
        self.asked.append(request)
        await asyncio.sleep(0)
        found = self.answers[type(request)](request)
        if isinstance(found, Exception):
            raise found
        return found

    def summary(self, job_id: JobId) -> read.JobSummary:
        state = self.states[job_id]
        overview = control.JobOverview(job_id, "my stream", state, STARTED_MS, 60_000, 2, 2, 3)
        entered = {"CREATED": STARTED_MS, "RUNNING": STARTED_MS + 150}
        if state.is_terminal:
            entered[state.value] = NOW_MS - 1000
        return read.JobSummary(overview, job_id == FINISHED, entered, {self.task_state(job_id).value: 4})

    def task_state(self, job_id: JobId) -> TaskState:
        return TaskState(self.states[job_id].value)

    def job(self, job_id: JobId) -> read.JobRead:
        failures = tuple(read.FailureRead(BOOM, NOW_MS - 1000 * age, 3 - age, TASKMANAGER) for age in range(4))
        return read.JobRead(
            self.summary(job_id),
            {**self.configuration, "execution.checkpointing.interval": "1 s"},
            VERTICES,
            (read.EdgeRead(0, 1, 0, ShipStrategy.HASH),),
            failures if job_id == FAILED else (),
            None if job_id == FINISHED else restored(checkpoints()) if job_id == FAILED else checkpoints(),
        )

    def vertex(self, request: read.ReadVertex) -> read.VertexRead:
        state = self.task_state(request.job_id)
        tasks = [task(VERTICES[request.vertex], number, state) for number in range(2)]
        more = [
            replace(one, summary=replace(one.summary, records_in=one.summary.records_in + self.records))
            for one in tasks
        ]
        return read.VertexRead(request.job_id, request.vertex, self.states[request.job_id], tuple(more))


class Server:
    """The application over a JobManager. `ask` is one request of a client on this host."""

    def __init__(self, configuration: Mapping[str, str] | None = None, dashboard: Any = None) -> None:
        self.clock = Clock()
        self.jobmanager = JobManager()
        self.settings = RestSettings.of(configuration or {})
        self.dashboard = dashboard
        self._loop = asyncio.new_event_loop()
        self.context = self._loop.run_until_complete(self._context())

    async def _context(self) -> Context:
        link: Any = self.jobmanager
        clock = self.clock
        store_ms = self.settings.store_ms
        return Context(
            self.settings,
            link,
            Snapshots(link, clock),
            Operations(clock, store_ms),
            Operations(clock, store_ms, "failureCause"),
            Operations(clock, store_ms),
            Cancellations(link, clock),
            clock,
            Rendered(),
            "host-1",
            "http://localhost:8081",
        )

    def close(self) -> None:
        self._loop.run_until_complete(asyncio.sleep(0.0))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def ask(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body (JSON where it is), headers."""
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        return self._loop.run_until_complete(self._ask(method, target, content, headers or {}))

    def get(self, target: str) -> Any:
        status, body, _ = self.ask("GET", target)
        assert status == 200, body
        return body

    def poll(self, target: str) -> Any:
        """Of an operation, until it is over."""
        while (status := self.get(target))["status"]["id"] == "IN_PROGRESS":
            self._loop.run_until_complete(asyncio.sleep(0))
        return status["operation"]

    async def _ask(self, method: str, target: str, content: bytes, headers: Mapping[str, str]) -> Any:
        from shmflink.rest.app import application

        path, _, query = target.partition("?")
        sent: list[Any] = []
        received = [{"type": "http.request", "body": content, "more_body": False}]
        fields = {"host": "localhost:8081", "content-length": str(len(content)), **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8081),
        }

        async def receive() -> Any:
            return received.pop(0) if received else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await application(self.context, self.dashboard)(scope, receive, send)  # type: ignore[arg-type]
        start, *parts = sent
        text = b"".join(part.get("body", b"") for part in parts)
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        is_json = found.get("content-type", "").startswith("application/json") and text
        return start["status"], orjson.loads(text) if is_json else text, found
