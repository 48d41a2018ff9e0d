"""Ring memories, arenas, doorbells and the status page from Python, across real processes."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Callable

import pytest

from shmflink import _core
from shmflink.errors import CorruptChannelError, InternalError, ResourceError

SECOND_NS = 1_000_000_000
WATCHDOG_NS = 20 * SECOND_NS


def ring_memory(epoch: int = 7, doorbells: int = 2) -> _core.RingMemory:
    return _core.RingMemory.create(epoch, doorbells, 1, 4, 4)


def in_child(body: Callable[[], None]) -> int:
    """Forks a process that runs `body` and ends with 0, or 1 when it raises; returns its id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(20)
            body()
            status = 0
        finally:
            os._exit(status)
    return pid


def exit_code(pid: int) -> int:
    """Waits for the child with a watchdog; a negative code is the signal that ended it."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], 30)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail("the child process hangs")
    finally:
        os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def is_asleep(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition does not come true"
        os.sched_yield()


# ---- memory


@pytest.mark.parametrize("owner", [ring_memory(), _core.Arena.create(7, 4096, 4), _core.StatusPage.create(4)])
def test_size_and_seals_are_fixed(owner: _core.RingMemory | _core.Arena | _core.StatusPage) -> None:
    """[M15]"""
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError) as refused:
            os.ftruncate(owner.fileno(), size)
        assert refused.value.errno == errno.EPERM
    with pytest.raises(PermissionError):
        fcntl.fcntl(owner.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert fcntl.fcntl(owner.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_peers_cannot_map_data_memory_for_writing() -> None:
    """[U10]"""
    arena = _core.Arena.create(7, 4096, 4)
    with pytest.raises(PermissionError):
        mmap.mmap(arena.fileno(), arena.bytes)
    with mmap.mmap(arena.fileno(), arena.bytes, prot=mmap.PROT_READ) as view:
        assert view[:8] == b"shmflink"


def test_opening_takes_the_descriptor_and_checks_the_epoch() -> None:
    """[M4]"""
    owner, arena = ring_memory(epoch=7), _core.Arena.create(7, 4096, 4)
    fd = os.dup(owner.fileno())
    assert _core.RingMemory.open(fd, 7).bytes == owner.bytes
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    with pytest.raises(CorruptChannelError, match="epoch 7"):
        _core.RingMemory.open(os.dup(owner.fileno()), 8)
    with pytest.raises(CorruptChannelError, match="epoch 7"):
        _core.Arena.open(os.dup(arena.fileno()), 8)
    with pytest.raises(CorruptChannelError, match="kind"):
        _core.Arena.open(os.dup(owner.fileno()), 7)


def test_foreign_descriptors_are_refused() -> None:
    """[M4]"""
    unsealed = os.memfd_create("unsealed")
    os.ftruncate(unsealed, 8192)
    reader, writer = os.pipe()
    os.close(writer)
    for fd in (unsealed, reader, os.open("/dev/null", os.O_RDWR)):
        with pytest.raises(CorruptChannelError):
            _core.Arena.open(fd, 7)
    with pytest.raises(InternalError, match="not an open descriptor"):
        _core.Arena.open(-1, 7)


def test_too_much_memory_is_a_resource_error_that_says_how_much() -> None:
    """[M2]"""

    def ask() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # if the check is broken, the host lives
        with pytest.raises(ResourceError, match=r"1125899906846\d+ bytes .* MiB are available"):
            _core.Arena.create(7, 1 << 30, 1 << 20)
        with pytest.raises(ResourceError, match="4198400 bytes"):
            _core.Arena.create(7, 1 << 20, 4)

    assert exit_code(in_child(ask)) == 0


@pytest.mark.parametrize(("segment_bytes", "segments"), [(0, 1), (100, 1), (64, 0), (1 << 31, 1)])
def test_impossible_arenas(segment_bytes: int, segments: int) -> None:
    with pytest.raises(InternalError):
        _core.Arena.create(7, segment_bytes, segments)


def test_impossible_regions() -> None:
    with pytest.raises(InternalError, match="doorbells"):
        _core.RingMemory.create(7, 0, 1, 4, 4)
    with pytest.raises(InternalError, match="data_capacity"):
        _core.RingMemory.create(7, 1, 1, 0, 4)
    with pytest.raises(InternalError, match="doorbell 2 of 2"):
        ring_memory().doorbell(2)


def test_a_closed_arena_says_so() -> None:
    arena = _core.Arena.create(7, 4096, 4)
    assert (arena.free_segments, arena.segments, arena.segment_bytes, arena.epoch) == (4, 4, 4096, 7)
    peer = _core.Arena.open(os.dup(arena.fileno()), 7)
    assert peer.free_segments == 0
    arena.close()
    arena.close()
    with pytest.raises(InternalError, match="closed"):
        arena.fileno()
    assert peer.segments == 4


def test_nothing_is_left_behind() -> None:
    def uses() -> tuple[int, int]:
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), sum("memfd:shmflink" in line for line in maps)

    before = uses()
    owner, arena, page = ring_memory(), _core.Arena.create(7, 4096, 4), _core.StatusPage.create(4)
    bell = owner.doorbell(0)
    peers = [_core.RingMemory.open(os.dup(owner.fileno()), 7), _core.Arena.open(os.dup(arena.fileno()), 7)]
    assert uses()[1] == before[1] + 5
    bell.ring()
    del owner, arena, page, bell, peers
    assert uses() == before


# ---- doorbells


def test_ring_before_wait_is_not_lost() -> None:
    """[M18]"""
    bell = ring_memory().doorbell(0)
    token = bell.prepare()
    assert not bell.wait(token, 1000, 0)
    bell.ring()
    assert bell.wait(token, -1, 0)
    assert bell.wait(token, -1, 1000)
    assert not bell.wait(bell.prepare(), 1000, 500)


def test_doorbells_of_a_region_are_apart() -> None:
    owner = ring_memory(doorbells=2)
    tokens = [owner.doorbell(index).prepare() for index in range(2)]
    owner.doorbell(0).ring()
    assert [owner.doorbell(index).wait(tokens[index], 0, 0) for index in range(2)] == [True, False]


def test_a_wait_lets_other_threads_run() -> None:
    bell = ring_memory().doorbell(0)
    token = bell.prepare()
    threading.Thread(target=bell.ring).start()
    assert bell.wait(token, WATCHDOG_NS, 0)


def test_every_wake_up_of_a_ping_pong_between_processes_arrives() -> None:
    """[M18]"""
    owner = ring_memory()
    rounds = 2000

    def pong() -> None:
        peer = _core.RingMemory.open(os.dup(owner.fileno()), 7)
        ping_bell, pong_bell = peer.doorbell(0), peer.doorbell(1)
        token = 0
        for number in range(rounds):
            assert ping_bell.wait(token, WATCHDOG_NS, 20_000 if number % 2 else 0)
            token = (token + 1) % (1 << 28)
            pong_bell.ring()

    child = in_child(pong)
    ping_bell, pong_bell = owner.doorbell(0), owner.doorbell(1)
    for number in range(rounds):
        token = pong_bell.prepare()
        ping_bell.ring()
        assert pong_bell.wait(token, WATCHDOG_NS, 20_000 if number % 3 else 0)
    assert exit_code(child) == 0


def test_a_sleeper_that_was_killed_harms_nobody() -> None:
    """[M12]"""
    owner = ring_memory()
    bell, answer = owner.doorbell(0), owner.doorbell(1)
    victim = in_child(lambda: assert_rung(bell))
    wait_until(lambda: is_asleep(victim))
    os.kill(victim, signal.SIGKILL)
    assert exit_code(victim) == -signal.SIGKILL

    def sleep_and_answer() -> None:
        assert_rung(bell)
        answer.ring()

    child = in_child(sleep_and_answer)
    wait_until(lambda: is_asleep(child))
    token = answer.prepare()
    bell.ring()
    assert answer.wait(token, WATCHDOG_NS, 0)
    assert exit_code(child) == 0


def assert_rung(bell: _core.Doorbell) -> None:
    assert bell.wait(bell.prepare(), WATCHDOG_NS, 0)


def test_a_signal_handler_runs_during_a_wait() -> None:
    bell = ring_memory().doorbell(0)

    def sleep() -> None:
        def handler(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        signal.signal(signal.SIGUSR1, handler)
        os.write(ready, b"!")
        with pytest.raises(KeyboardInterrupt):
            bell.wait(bell.prepare(), -1, 0)

    listening, ready = os.pipe()
    child = in_child(sleep)
    assert os.read(listening, 1) == b"!"
    wait_until(lambda: is_asleep(child))
    os.kill(child, signal.SIGUSR1)
    assert exit_code(child) == 0
    os.close(listening)
    os.close(ready)


# ---- status page, heartbeat, process


def test_status_words_are_seen_by_the_peer() -> None:
    page = _core.StatusPage.create(8)
    peer = _core.StatusPage.open(os.dup(page.fileno()))
    page.store(2, [1, 2**64 - 1, 3])
    assert peer.load(0, 8) == [0, 0, 1, 2**64 - 1, 3, 0, 0, 0]
    peer.store(7, (9,))
    assert (page.load(7, 1), page.load(8, 0), page.words) == ([9], [], 8)
    for offset, count in ((7, 2), (9, 0), (0, 2**63)):
        with pytest.raises(InternalError, match="status page of 8"):
            page.load(offset, count)


def test_the_heartbeat_needs_no_gil_and_stops() -> None:
    """[P20]"""
    page = _core.StatusPage.create(2)
    before = time.monotonic_ns()
    heart = _core.Heartbeat(page, 1, 1)
    first = page.load(1, 1)[0]
    assert before <= first <= time.monotonic_ns()
    wait_until(lambda: page.load(1, 1)[0] > first)
    heart.stop()
    heart.stop()
    last = page.load(1, 1)[0]
    ring_memory().doorbell(0).wait(0, 5_000_000, 0)  # five intervals
    assert page.load(1, 1)[0] == last
    with pytest.raises(InternalError):
        _core.Heartbeat(page, 2, 1)


def test_a_frozen_process_shows_in_its_heartbeat() -> None:
    page, bell = _core.StatusPage.create(1), ring_memory().doorbell(0)

    def beat() -> None:
        ticket = bell.prepare()  # before the parent may ring
        heart = _core.Heartbeat(page, 0, 1)
        assert bell.wait(ticket, WATCHDOG_NS, 0)
        heart.stop()

    child = in_child(beat)
    wait_until(lambda: page.load(0, 1)[0] > 0)
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    frozen = page.load(0, 1)[0]
    assert page.load(0, 1)[0] == frozen
    os.kill(child, signal.SIGCONT)
    wait_until(lambda: page.load(0, 1)[0] > frozen)
    bell.ring()
    assert exit_code(child) == 0


def test_a_child_dies_with_its_parent() -> None:
    """[P9]"""
    owner = ring_memory()
    reader, writer = os.pipe()

    def parent() -> None:
        os.close(reader)
        me = os.getpid()
        bell, armed = owner.doorbell(0), owner.doorbell(1)
        token = armed.prepare()

        def orphan() -> None:
            assert _core.set_parent_death_signal(signal.SIGKILL, me)
            armed.ring()
            bell.wait(bell.prepare(), -1, 0)

        in_child(orphan)
        assert armed.wait(token, WATCHDOG_NS, 0)

    child = in_child(parent)
    os.close(writer)
    assert exit_code(child) == 0
    assert select.select([reader], [], [], 30)[0], "the orphan lives on and holds the pipe"
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_parent_that_is_already_gone_is_noticed() -> None:
    """[P9]"""

    def orphan() -> None:
        assert not _core.set_parent_death_signal(signal.SIGKILL, 2**30)

    assert exit_code(in_child(orphan)) == 0
