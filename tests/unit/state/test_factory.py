"""The backend that the options select, and what operators may rely on."""

from __future__ import annotations

import pytest

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.elements import Barrier
from shmflink.errors import ConfigurationError
from shmflink.state.factory import state_backends
from shmflink.state.namespaces import NO_NAMESPACES, PICKLED_NAMESPACES
from shmflink.state.protocol import ABSENT, KeyedStateBackend, StateTable

GROUPS = range(128)


def _backend(configuration: dict[str, str]) -> KeyedStateBackend:
    return state_backends(configuration).keyed_backend(
        128, SYSTEM_CLOCK, namespaces=PICKLED_NAMESPACES, is_incremental=True, operator="Sum"
    )


@pytest.fixture(params=[{}, {"state.backend.type": "hashmap"}, {"state.backend": "HashMap"}])
def table(request: pytest.FixtureRequest) -> StateTable:
    """Of each backend: an entry from before a freeze, and one from after it."""
    backend = _backend(request.param)
    table = backend.value_state("sum")
    table.put("old", [1])
    backend.freeze(Barrier(1, 0), GROUPS)
    table.put("new", [2])
    return table


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ConfigurationError, match="unknown state backend 'rocksdb'; known: hashmap"):
        state_backends({"state.backend.type": "rocksdb"})


def test_timers_fire_in_order() -> None:
    timers = state_backends({}).timers(NO_NAMESPACES)
    timers.register(20, "a")
    timers.register(10, "b")
    assert list(timers.due(20)) == [(10, "b", None), (20, "a", None)]


def test_entries_are_read_replaced_and_taken(table: StateTable) -> None:
    assert (table.get("old"), table.get("new"), table.get("none")) == ([1], [2], ABSENT)
    table.put("old", [3])
    assert table.take("old") == [3]
    assert table.get("old") is ABSENT
    assert table.keys() == ["new"]


def test_a_loop_finds_older_entries_apart(table: StateTable) -> None:
    entries = table.loop_entries()
    assert entries.find_older is not None
    assert dict(entries.recent) == {"new": [2]}
    assert entries.find_older("old", ABSENT) == [1]
    assert entries.find_older("none", ABSENT) is ABSENT
    entries.recent["old"] = [4]
    assert table.get("old") == [4]


def test_values_that_are_owned_are_not_those_of_a_snapshot(table: StateTable) -> None:
    frozen = table.get("old")
    (values,) = table.owned_values(10)
    assert sorted(values) == [[1], [2]]
    for value in values:
        value.clear()
    assert frozen == [1]
    assert table.keys() == []
