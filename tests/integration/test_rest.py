"""The REST server beside a session cluster, on real processes, asked over HTTP."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.client.session_cluster import running_clusters

if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
    pytest.skip("the extra `rest` is not installed", allow_module_level=True)

WAIT_S = 120
COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()"]
HEAD = """
from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
"""
ENDLESS = """
env.enable_checkpointing(100)
numbers = env.from_source(NumberSequenceSource(0, 1 << 60), WatermarkStrategy.no_watermarks(), "numbers")
numbers.key_by(lambda n: n % 3).filter(lambda n: False).print()
env.execute("endless")
"""
FAILING = """
def boom(n):
    raise ValueError(f"boom at {n}")
env.from_collection([1, 2, 3]).map(boom).print()
env.execute("failing")
"""


class Cluster:
    """A session cluster of two slots with a REST server, in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir()
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        started = self.command("start-cluster", "--slots", "2", "-D", "rest.port=0")
        assert started.returncode == 0, started.stderr
        self.port = int(started.stdout.rpartition("REST server: http://localhost:")[2])

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, env=self.environment, timeout=WAIT_S, check=False
        )

    def run(self, text: str) -> str:
        """Submits a program; the id of its job."""
        path = self.folder / "job.py"
        path.write_text(HEAD + textwrap.dedent(text))
        done = self.command("run", "-t", "remote", "-d", str(path))
        assert done.returncode == 0, done.stderr
        return done.stderr.partition("Job has been submitted with JobID ")[2][:32]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
            is_json = answer.headers["content-type"].startswith("application/json")
            return answer.status, json.loads(text) if is_json else text.decode()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def wait(self, path: str, condition: Callable[[Any], bool]) -> Any:
        """The first answer for which the condition holds."""
        while not condition(answer := self.get(path)):
            continue
        return answer

    def close(self) -> None:
        self.command("stop-cluster")
        assert running_clusters(self.environment) == []


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def state_is(wanted: str) -> Callable[[Any], bool]:
    return lambda answer: answer["state"] == wanted


def test_a_job_is_seen_saved_and_stopped(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.run(ENDLESS)
    detail = cluster.wait(f"/jobs/{job}", lambda one: one["vertices"] and one["vertices"][-1]["status"] == "RUNNING")
    assert detail["name"] == "endless"
    assert detail["status-counts"]["RUNNING"] == len(detail["vertices"]) == 2
    source = detail["vertices"][0]["id"]
    wrote = cluster.wait(
        f"/jobs/{job}/vertices/{source}", lambda one: one["subtasks"][0]["metrics"]["write-records"] > 0
    )
    (taskmanager,) = {one["taskmanager-id"] for one in wrote["subtasks"]}
    assert cluster.get(f"/taskmanagers/{taskmanager}")["allocatedSlots"][0]["jobId"] == job
    cluster.wait(f"/jobs/{job}/checkpoints", lambda one: one["counts"]["completed"] > 1)
    name = f"{source}/subtasks/metrics?get=numRecordsOut&agg=sum"
    assert cluster.get(f"/jobs/{job}/vertices/{name}")[0]["sum"] > 0

    _, trigger = cluster.ask(
        "POST", f"/v1/jobs/{job}/stop", {"targetDirectory": str(tmp_path / "saved"), "drain": False}
    )
    done = cluster.wait(f"/jobs/{job}/savepoints/{trigger['request-id']}", lambda one: one["operation"] is not None)
    path = done["operation"]["location"].removeprefix("file:")
    assert Path(path, "_metadata").exists()
    ended = cluster.wait(f"/jobs/{job}", state_is("FINISHED"))
    assert [vertex["status"] for vertex in ended["vertices"]] == ["FINISHED", "FINISHED"]
    assert cluster.get(f"/jobs/{job}/checkpoints")["latest"]["savepoint"]["checkpoint_type"] == "SYNC_SAVEPOINT"
    assert cluster.get(f"/jobs/{job}/execution-result")["job-execution-result"]["application-status"] == "SUCCEEDED"


def test_a_job_is_canceled(cluster: Cluster) -> None:
    job = cluster.run(ENDLESS)
    cluster.wait(f"/jobs/{job}", state_is("RUNNING"))
    assert cluster.ask("PATCH", f"/jobs/{job}?mode=cancel") == (202, {})
    cluster.wait(f"/jobs/{job}", state_is("CANCELED"))
    assert cluster.ask("PATCH", f"/jobs/{job}?mode=cancel") == (202, {})


def test_why_a_job_failed(cluster: Cluster) -> None:
    job = cluster.run(FAILING)
    cluster.wait(f"/jobs/{job}", state_is("FAILED"))
    (entry,) = cluster.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
    assert "boom at 1" in entry["stacktrace"]
    assert entry["taskName"].endswith("(1/1) - execution #0")
    result = cluster.get(f"/jobs/{job}/execution-result")["job-execution-result"]
    assert (result["application-status"], "boom at 1" in result["failure-cause"]["stack-trace"]) == ("FAILED", True)


def test_the_log_of_the_cluster_is_shown(cluster: Cluster) -> None:
    (log,) = cluster.get("/jobmanager/logs")["logs"]
    assert log["name"] == "session-default.log"
    assert "REST server of session cluster 'default'" in cluster.get(f"/jobmanager/logs/{log['name']}")


def server_pid(cluster: Cluster) -> int:
    """Of the process that listens."""
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{cluster.port:04X}") and line.split()[3] == "0A"
    )
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError("nobody listens")


def test_killed_it_harms_nothing_and_another_one_takes_its_place(cluster: Cluster) -> None:
    job = cluster.run(ENDLESS)
    cluster.wait(f"/jobs/{job}", state_is("RUNNING"))
    pidfd = os.pidfd_open(server_pid(cluster))
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert "RUNNING" in cluster.command("list").stdout
    reading, writing = os.pipe()
    words = ["rest", "--port", str(cluster.port), "--ready-fd", str(writing)]
    another = subprocess.Popen(
        [*COMMAND, *words], env=cluster.environment, pass_fds=(writing,), stdout=subprocess.DEVNULL
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == f"http://localhost:{cluster.port}".encode()
    assert cluster.get(f"/jobs/{job}/status") == {"status": "RUNNING"}
    assert cluster.ask("DELETE", "/cluster") == (200, {})
    assert another.wait(WAIT_S) == 0  # it ends with its cluster


def test_a_jobmanager_in_the_foreground_has_its_server_beside_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_STATE_HOME": str(tmp_path / "state")}
    words = [*COMMAND, "jobmanager", "--slots", "1", "-D", "rest.port=0"]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as jobmanager:
        assert jobmanager.stdout is not None
        line = next(line for line in jobmanager.stdout if line.startswith("REST server"))
        connection = http.client.HTTPConnection("localhost", int(line.rpartition(":")[2]), timeout=WAIT_S)
        connection.request("GET", "/overview")
        assert json.loads(connection.getresponse().read())["slots-total"] == 1
        connection.close()
        jobmanager.terminate()
        jobmanager.communicate(timeout=WAIT_S)  # the server's copy of the pipe closes as well: it ends with its cluster


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "run").mkdir()
        environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(tmp_path / "run"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        port = taken.getsockname()[1]
        words = ["start-cluster", "--slots", "1", "-D", f"rest.port={port}"]
        started = subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, timeout=WAIT_S)
        subprocess.run([*COMMAND, "stop-cluster"], env=environment, timeout=WAIT_S, check=True, capture_output=True)
    assert started.returncode == 1
    assert "the REST server has not started; the cluster runs without it" in started.stderr
    log = (tmp_path / "state" / "shmflink" / "log" / "session-default.log").read_text()
    assert f"the REST server cannot listen on localhost:{port}: Address already in use" in log
