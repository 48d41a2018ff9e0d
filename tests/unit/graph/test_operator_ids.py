"""Operator ids: stable for the same program, unique, the user's if given."""

from __future__ import annotations

import pytest
from oracle.recorded_program import Program

from shmflink.errors import JobGraphError
from shmflink.graph.operator_ids import operator_ids


def write(program: Program, *, prefix: str = "", parallelism: int = 2, uid: str | None = None) -> dict[str, str]:
    source = program.source(f"{prefix}in", parallelism=parallelism)
    kept = program.operator(source, name=f"{prefix}Keep", parallelism=parallelism, uid=uid)
    program.operator(program.union(kept, source), name=f"{prefix}Join", parallelism=parallelism)
    graph = program.stream_graph()
    ids = operator_ids(graph)
    return {graph.nodes[node].name.replace(prefix, ""): str(ids[node]) for node in graph.nodes}


def test_ids_do_not_depend_on_names_and_parallelism(program: Program) -> None:
    other = type(program)()
    assert write(program) == write(other, prefix="My ", parallelism=5)


def test_ids_are_pinned(program: Program) -> None:
    """These are in checkpoints: they may never change."""
    assert write(program, uid="keep") == {
        "Source: in": "a28cd900f22e526e200612a4faaad430",
        "Keep": "e85a8dff11eb484a9e5b9daf54843bba",
        "Join": "8d4a4ae1b19cafc8bfa77cf92b67a821",
    }


def test_an_id_depends_on_what_comes_before(program: Program) -> None:
    plain, other = write(program), write(type(program)(), uid="keep")
    assert plain["Source: in"] == other["Source: in"]
    assert plain["Join"] != other["Join"]


def test_ids_do_not_depend_on_chaining(program: Program) -> None:
    program.sink(program.operator(program.source()))
    chained = [o.operator_id for v in program.job_graph().vertices for o in v.operators]
    unchained = [o.operator_id for v in program.job_graph(is_chaining_enabled=False).vertices for o in v.operators]
    assert chained == unchained
    assert len(set(chained)) == 3


def test_a_uid_hash_is_the_id(program: Program) -> None:
    program.operator(program.source(), uid="ignored", uid_hash="ABCDEF" + "0" * 26)
    assert str(operator_ids(program.stream_graph())[2]) == "abcdef" + "0" * 26


@pytest.mark.parametrize("uid_hash", ["", "abc", "g" * 32, "0" * 33])
def test_a_uid_hash_must_be_32_hexadecimal_digits(program: Program, uid_hash: str) -> None:
    program.operator(program.source(), uid_hash=uid_hash)
    with pytest.raises(JobGraphError, match="32 hexadecimal digits"):
        operator_ids(program.stream_graph())


@pytest.mark.parametrize("field", ["uid", "uid_hash"])
def test_a_uid_used_twice_is_an_error(program: Program, field: str) -> None:
    value = {field: "a" * 32}
    program.operator(program.operator(program.source(), name="A", **value), name="B", **value)
    with pytest.raises(JobGraphError, match="is used twice: for 'A' and for 'B'"):
        operator_ids(program.stream_graph())
