"""Messages as bytes and back."""

from __future__ import annotations

import dataclasses

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import RpcError
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.rpc import control_messages, messages
from shmflink.rpc.codec import decode, encode
from shmflink.rpc.field_types import checks_of
from shmflink.rpc.messages import AssignSplit, Failure, JobEnded, StartCluster, SubmitJob, TaskSummary
from shmflink.rpc.states import JobState, TaskState


def _graph() -> JobGraph:
    operator = ChainedOperator("0" * 32, "Map", "Map", None, NodeKind.OPERATOR, b"\x00\xffpayload", (1, 2))
    vertex = JobVertex(0, "Map", 2, 128, "default", None, (operator, operator))
    edge = JobEdge(0, 0, 0, 1, 0, ShipStrategy.HASH)
    return JobGraph(JobId.random(), "jöb", True, (vertex, vertex), (edge,), {"a": "b"}, ("/x",), "/", "/x/job.py")


@pytest.mark.parametrize(
    "message",
    [
        StartCluster(4, {"heartbeat.interval": "1 s"}),
        SubmitJob(_graph(), {}, True),
        AssignSplit(3, SubtaskId(1, 2), b"", exhausted=True),
        JobEnded(
            JobId("ab"),
            JobState.FAILED,
            12,
            Failure("ValueError", "m", "tb", "Map", 1, "Map (2/4)", None),
            (TaskSummary(0, "Map", 1, TaskState.FAILED, 0, 1, 2, 3, 4, 5, 6),),
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_comes_back_equal(message):
    text, blobs = encode(message)
    assert decode(text, blobs) == message


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    ),
    st.binary(),
    st.integers(-(2**63), 2**63 - 1),
)
def test_any_text_bytes_and_integers(settings, payload, number):
    for message in (StartCluster(number, settings), AssignSplit(number, SubtaskId(0, 0), payload, exhausted=False)):
        text, blobs = encode(message)
        assert decode(text, blobs) == message


def test_equal_payloads_travel_once():
    _, blobs = encode(SubmitJob(_graph(), {}, False))
    assert blobs.count(b"\x00\xffpayload") == 1


def test_fields_that_an_older_release_did_not_have_take_their_defaults():
    """What it left in an HA directory is read; of what it had, nothing may be missing."""
    text, blobs = encode(SubmitJob(_graph(), {}, True, 0))
    tree = orjson.loads(text)
    assert [tree["f"].pop() for _ in range(3)] == [False, None, 0]
    tree["f"][0]["f"][3][0]["f"][6][0]["f"].pop()  # `connector` of an operator
    assert decode(orjson.dumps(tree), blobs) == decode(text, blobs)
    tree["f"].pop()
    with pytest.raises(RpcError, match="SubmitJob has 6 fields, got 2"):
        decode(orjson.dumps(tree), blobs)


def test_what_has_no_form_on_the_wire_is_named():
    with pytest.raises(RpcError, match=r"a builtins\.object cannot be part"):
        encode(StartCluster(object(), {}))
    with pytest.raises(RpcError, match="cannot send StartCluster"):
        encode(StartCluster(2**70, {}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"$":"Nothing","f":[]}',
        b'{"$":"Shutdown","f":[1,2]}',
        b'{"$":"JobId"}',
        b'{"b":0}',
        b'{"b":-1}',
        b'{"x":1}',
        b'{"$":"JobId","f":["a"],"z":1}',
        b'{"e":"JobState","v":"ASLEEP"}',
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(RpcError, match="cannot be decoded"):
        decode(text, [])


def test_every_message_is_registered_and_frozen():
    for name in [*messages.__all__, *control_messages.__all__]:
        kind = getattr(messages, name, None) or getattr(control_messages, name)
        assert kind.__dataclass_params__.frozen, name
        arguments = dict.fromkeys((field.name for field in dataclasses.fields(kind)), None)
        encode(kind(**arguments))
        assert [name for name, _, _ in checks_of(kind)] == list(arguments), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"$":"StartCluster","f":["4",{"m":{}},true]}', r"StartCluster.slots is a str, not int"),
        (b'{"$":"StartCluster","f":[true,{"m":{}},true]}', r"StartCluster.slots is a bool, not int"),
        (b'{"$":"StartCluster","f":[4,{"m":{"a":1}},true]}', r"StartCluster.configuration is a dict, not Mapping"),
        (b'{"$":"StartCluster","f":[4,null,true]}', r"StartCluster.configuration is a NoneType"),
        (b'{"$":"TriggerSavepoint","f":["a",""]}', r"TriggerSavepoint.job_id is a str, not JobId"),
        (b'{"$":"SubtaskId","f":[1,[2]]}', r"SubtaskId.subtask is a tuple, not int"),
        (b'{"$":"StartCluster","f":[4]}', r"StartCluster has 4 fields, got 1"),
        (b"[" * 900 + b"]" * 900, r"cannot be decoded: RecursionError"),
        (b"[" * 100_000, r"cannot be decoded"),
    ],
)
def test_what_a_field_does_not_declare_is_refused_where_it_comes_in(text, message):
    with pytest.raises(RpcError, match=message):
        decode(text, [])
