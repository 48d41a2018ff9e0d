"""Identities: equality, and how people read them."""

from __future__ import annotations

from shmflink.core.ids import LOCAL_HOST, JobId, OperatorId, TaskManagerId


def test_ids_of_a_text_are_the_same_in_every_process():
    assert JobId.of("a") == JobId.of("a") != JobId.of("b")
    assert OperatorId.of("a").hex == JobId.of("a").hex
    assert JobId.random() != JobId.random()


def test_a_taskmanager_is_known_by_host_and_number_and_another_process_in_its_place_is_another_one():
    first = TaskManagerId(LOCAL_HOST, 2, 1)
    assert first == TaskManagerId("local", 2) != TaskManagerId("local", 2, 2)
    assert (str(first), str(TaskManagerId("rack7", 2))) == ("TaskManager 2", "TaskManager 2 on rack7")
    assert len({first, TaskManagerId("rack7", 2), TaskManagerId("local", 2)}) == 2
