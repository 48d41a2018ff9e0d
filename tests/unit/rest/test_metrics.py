"""Metrics by Flink's names: lists, values, aggregates, and all of them for Prometheus."""

from __future__ import annotations

import importlib.util

import pytest

from tests.unit.rest.cluster import FINISHED, RUNNING, SOURCE_ID, WINDOW_ID, Server
from tests.unit.rest.recorded import exchanges

VERTEX = f"/jobs/{RUNNING}/vertices/{WINDOW_ID}"


@pytest.mark.parametrize(
    ("path", "recorded"),
    [
        ("/jobmanager/metrics", "/jobmanager/metrics"),
        ("/taskmanagers/metrics", "/taskmanagers/metrics"),
        ("/jobs/metrics", "/jobs/metrics"),
        (f"/jobs/{RUNNING}/metrics", "/jobs/metrics"),
    ],
)
def test_every_name_is_one_of_flinks(
    path: str, recorded: str, server: Server, metric_names: dict[str, set[str]]
) -> None:
    names = {one["id"] for one in server.get(path)}
    assert names <= metric_names[recorded]
    assert names


def test_the_names_of_a_vertex_are_flinks(server: Server, metric_names: dict[str, set[str]]) -> None:
    known = {name.rpartition(".")[2] for name in metric_names["/jobs/:jobid/vertices/:vertexid/subtasks/metrics"]}
    assert {one["id"].rpartition(".")[2] for one in server.get(f"{VERTEX}/subtasks/metrics")} <= known
    source = f"/jobs/{RUNNING}/vertices/{SOURCE_ID}"
    assert {one["id"].rpartition(".")[2] for one in server.get(f"{source}/metrics")} <= known


def test_values_are_texts_and_unknown_names_are_left_out(server: Server) -> None:
    found = server.get(f"{VERTEX}/metrics?get=1.numRecordsIn,nosuch,0.window_sum.numRecordsOut,0.isBackPressured")
    assert found == [
        {"id": "1.numRecordsIn", "value": "100"},
        {"id": "0.window_sum.numRecordsOut", "value": "90"},
        {"id": "0.isBackPressured", "value": "false"},
    ]


def test_aggregates(server: Server) -> None:
    (found,) = server.get(f"{VERTEX}/subtasks/metrics?get=numRecordsIn&agg=sum,max")
    assert found == {"id": "numRecordsIn", "max": 100.0, "sum": 200.0}
    (one,) = server.get(f"{VERTEX}/subtasks/metrics?get=numRecordsIn&agg=sum&subtasks=1-7")
    assert one["sum"] == 100.0
    assert server.ask("GET", f"{VERTEX}/subtasks/metrics?get=numRecordsIn&subtasks=a-b")[0] == 400


def test_a_job_that_has_ended_has_none(server: Server) -> None:
    assert server.get(f"/jobs/{FINISHED}/metrics") == []


@pytest.fixture
def metric_names() -> dict[str, set[str]]:
    """The names that Flink listed, by path."""
    found: dict[str, set[str]] = {}
    for exchange in exchanges():
        found.setdefault(exchange["path"], set()).update(exchange.get("metric_names", ()))
    return found


@pytest.mark.skipif(importlib.util.find_spec("prometheus_client") is None, reason="prometheus-client is not installed")
def test_prometheus_reads_all_of_them_with_flinks_scopes(server: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    status, text, headers = server.ask("GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = {family.name: family.samples for family in text_string_to_metric_families(text.decode())}
    assert [sample.value for sample in families["flink_jobmanager_taskSlotsTotal"]] == [4.0]
    assert families["flink_jobmanager_job_numRestarts"][0].labels["job_id"] == RUNNING.hex
    tasks = families["flink_taskmanager_job_task_numRecordsIn"]
    assert [(one.labels["task_name"], one.labels["subtask_index"], one.value) for one in tasks] == [
        ("Source: numbers -> to pairs", "0", 0.0),
        ("Source: numbers -> to pairs", "1", 0.0),
        ("window sum -> drop: Writer", "0", 100.0),
        ("window sum -> drop: Writer", "1", 100.0),
    ]
    operators = families["flink_taskmanager_job_task_operator_numRecordsOut"]
    assert {one.labels["operator_name"] for one in operators} == {
        "Source: numbers",
        "to <pairs>",
        "window sum",
        "drop: Writer",
    }
    assert all("lastCheckpointExternalPath" not in name for name in families)
