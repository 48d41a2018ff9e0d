"""Files that are served: logs, and Flink's dashboard out of a JAR or a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from shmflink.errors import ConfigurationError
from shmflink.rest.dashboard import Dashboard
from shmflink.rest.log_files import read_log
from shmflink.rest.process_facts import log_file, process_facts, threads
from tests.unit.rest.cluster import TASKMANAGER, Server


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    path = tmp_path / "flink-dist.jar"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("web/index.html", "<html>flink</html>")
        made.writestr("web/main.abc.js", "run()")
        made.writestr("org/apache/Secret.class", "not the dashboard's")
    return path


def test_the_dashboard_of_a_jar_is_served_and_nothing_else_of_it(jar: Path) -> None:
    server = Server({"rest.dashboard": str(jar)}, Dashboard(str(jar)))
    for path, kind, text in (("/", "text/html", b"<html>flink</html>"), ("/main.abc.js", "text/javascript", b"run()")):
        status, body, headers = server.ask("GET", path)
        assert (status, body, headers["content-type"]) == (200, text, kind)
        assert headers["cache-control"] == "private, max-age=300"
    for path in ("/org/apache/Secret.class", "/../org/apache/Secret.class", "/web/index.html"):
        assert server.ask("GET", path)[0] == 404
    assert server.get("/overview")["slots-total"] == 4
    server.close()


def test_a_folder_does_as_well(jar: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(jar).extractall(tmp_path)
    assert Dashboard(str(tmp_path / "web")).file("/") == (b"<html>flink</html>", "text/html")


def test_what_holds_no_dashboard_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no web/index\.html"):
        Dashboard(str(tmp_path))
    with pytest.raises(ConfigurationError, match="cannot read"):
        Dashboard(str(tmp_path / "none.jar"))


# --- logs ---


def test_a_log_is_shown_without_the_secrets_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("connecting with hunter22\nno key\n")
    settings = {"s3.secret-key": "hunter22", "short.password": "no", "cluster.name": "log"}
    assert read_log(str(path), settings) == b"connecting with ******\nno key\n"
    assert read_log(str(tmp_path / "gone"), settings) == b""


def test_of_a_long_log_the_end_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * 1023 * 8 + b"\n" + (b"y" * 1023 + b"\n") * 4096)
    found = read_log(str(path), {})
    assert found.startswith(b"... (the beginning is left out)\ny")
    assert len(found) <= (4 << 20) + 64


def test_only_regular_files_are_logs(tmp_path: Path) -> None:
    program = "input()"
    with open(tmp_path / "out.log", "w") as file:
        to_file = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=file)
    to_pipe = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert log_file(to_file.pid) == str(tmp_path / "out.log")
    assert log_file(to_pipe.pid) is None
    for process in (to_file, to_pipe):
        process.communicate(b"\n")
    assert log_file(to_file.pid) is None


def test_a_process_tells_of_itself_and_one_that_is_gone_nothing() -> None:
    facts = process_facts(os.getpid())
    assert facts.anonymous_bytes > 1 << 20
    assert (facts.threads > 0, facts.descriptors > 2, facts.cpu_ns > 0) == (True, True, True)
    assert process_facts(1 << 30).threads == 0
    assert threads(1 << 30) == []
    assert os.getpid() in [one.thread_id for one in threads(os.getpid())]


def test_paths_of_logs(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "session.log").write_text("hello\n")
    monkeypatch.setattr("shmflink.rest.handlers.cluster.log_file", lambda pid: str(tmp_path / "session.log"))
    for owner in ("/jobmanager", f"/taskmanagers/{TASKMANAGER}"):
        (found,) = server.get(f"{owner}/logs")["logs"]
        assert (found["name"], found["size"]) == ("session.log", 6)
        for path in ("log", "stdout", "logs/session.log"):
            status, text, headers = server.ask("GET", f"{owner}/{path}")
            assert (status, text, headers["content-type"]) == (200, b"hello\n", "text/plain; charset=UTF-8")
        assert server.ask("GET", f"{owner}/logs/other.log")[0] == 404
