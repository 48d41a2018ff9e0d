"""When a dead JobManager is replaced."""

from __future__ import annotations

from shmflink.client.respawn import RespawnPolicy


def test_without_progress_later_and_later_and_then_no_more():
    """[P13]"""
    policy = RespawnPolicy()
    assert [policy.next_delay_s() for _ in range(7)] == [0.0, 0.25, 0.5, 1.0, 2.0, None, None]
    assert policy.count == 5


def test_progress_makes_it_patient_again():
    policy = RespawnPolicy()
    for checkpoint in range(1000):
        assert policy.next_delay_s() == 0.0
        policy.progressed(("job", checkpoint))
    assert policy.count == 1000


def test_the_same_checkpoint_again_is_no_progress():
    policy = RespawnPolicy()
    delays = []
    for _ in range(6):
        delays.append(policy.next_delay_s())
        policy.progressed(("job", 7) if delays[1:] else None)
    assert delays == [0.0, 0.25, 0.0, 0.25, 0.5, 1.0]
