"""The OpenAPI document, and random requests that follow it or nearly do: no bug, no status that it does not name."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink.errors import RequestFailedError
from shmflink.rest.errors import RestError
from shmflink.rest.openapi import document
from shmflink.rest.router import ALL_ENDPOINTS, Router
from shmflink.rpc.control_messages import CancelRunningJob, StopCluster, StopJob, TakeCheckpoint, TriggerSavepoint
from tests.unit.rest.cluster import RUNNING, SOURCE_ID, TASKMANAGER, Server
from tests.unit.rest.recorded import exchanges

EXAMPLES = {
    "jobid": RUNNING.hex,
    "vertexid": SOURCE_ID,
    "taskmanagerid": TASKMANAGER,
    "applicationid": RUNNING.hex,
    "subtaskindex": "1",
    "attempt": "0",
    "checkpointid": "4",
}
DOCUMENT: Any = document()
ROUTER = Router()


def test_every_endpoint_is_in_the_document() -> None:
    paths = DOCUMENT["paths"]
    described = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert described == {(one.method, re.sub(r":(\w+)", r"{\1}", one.path)) for one in ALL_ENDPOINTS}


def test_every_recorded_path_is_an_endpoint() -> None:
    """Of those that Flink has, too."""
    for exchange in exchanges():
        unknown = ("Unable to load", "Not found: ", "history server")
        if exchange["method"] in ("HEAD", "OPTIONS") or any(part in str(exchange) for part in unknown):
            continue
        path = re.sub(r":\w+|<[^>]+>", "x", exchange["path"].partition("?")[0])
        if "/profiler/" not in path:
            ROUTER.find(exchange["method"], path)  # raises a 404


def test_the_document_is_served(server: Server) -> None:
    assert server.get("/openapi.json") == document()


def test_operations_have_names_of_their_own() -> None:
    paths = DOCUMENT["paths"]
    names = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    assert len(names) == len(set(names))


# --- random requests ---


@cache
def served() -> Server:
    """One for all examples; its JobManager refuses whatever changes something."""
    made = Server()
    changes = (CancelRunningJob, TriggerSavepoint, StopJob, TakeCheckpoint, StopCluster)
    made.jobmanager.answers = dict.fromkeys(changes, lambda _: RequestFailedError("refused"))
    return made


def check(method: str, target: str, body: object) -> None:
    """The answer is one that the document names, and says what is wrong where something is."""
    server = served()
    status, answer, headers = server.ask(method, target, body)
    operation = described(method, target)
    assert str(status) in operation["responses"], (status, answer)
    if status >= 400:
        assert set(answer) == {"errors"}
        assert "ConfigurationError" not in str(answer)
        assert not re.search(r"(KeyError|TypeError|ValueError|IndexError|AttributeError)\b", str(answer)), answer
    kinds = operation["responses"][str(status)]["content"]
    assert headers["content-type"].partition(";")[0] in kinds


def described(method: str, target: str) -> Any:
    endpoint, _ = ROUTER.find(method, target.partition("?")[0])
    return DOCUMENT["paths"][re.sub(r":(\w+)", r"{\1}", endpoint.path)][method.lower()]


SEGMENT = st.text(st.characters(exclude_characters="/?#%", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("endpoint", ALL_ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nearly_valid_requests(endpoint: Any, data: st.DataObject) -> None:
    def part(match: re.Match[str]) -> str:
        known = EXAMPLES.get(match[1], "a" * 32)
        return data.draw(st.just(known) | st.just("0" * 32) | SEGMENT)

    path = re.sub(r":(\w+)", part, endpoint.path)
    if path.strip("/.") == "" or path.split("/")[1:2] == ["v1"]:
        return
    query = {
        one.name: data.draw(st.sampled_from([*one.values, "1", "", "a,b"]) | st.text(max_size=9))
        for one in endpoint.query
    }
    names = [] if endpoint.body is None else list(endpoint.body.fields)
    body = data.draw(JSON | st.dictionaries(st.sampled_from([*names, "other"]), JSON, max_size=4))
    target = f"{path}?{urlencode(query)}" if query else path
    try:
        found, _ = ROUTER.find(endpoint.method, path)
    except RestError:
        return  # a segment made it another path
    if found is endpoint:
        check(endpoint.method, target, body)


@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_schemathesis_makes_of_the_document(data: st.DataObject) -> None:
    """Valid and invalid requests, of all operations."""
    case = data.draw(cases())
    target = case.formatted_path
    if case.query:
        target += "?" + urlencode(dict(case.query), doseq=True)
    body = case.body if isinstance(case.body, dict | list | str | int | float | bool | None) else None
    check(case.method, target, body)


@cache
def cases() -> st.SearchStrategy[Any]:
    import schemathesis

    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operations = [found.ok() for found in schema.get_all_operations()]
    modes = list(schemathesis.GenerationMode)
    return st.one_of([one.as_strategy(generation_mode=mode) for one in operations for mode in modes])
