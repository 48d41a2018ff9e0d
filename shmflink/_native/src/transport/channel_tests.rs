//! Both ends of a channel over mapped memory: two mappings in one process, and two processes of which one is killed.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::arena::Arena;
use super::channel::{CreditPool, DataHeader, InputChannel, OutputChannel, Received, SegmentRef, TransportError};
use super::doorbell::Wake;
use super::ring_memory::{Doorbell, RingMemory, RingMemoryShape};
use super::ring_words::RingShape;
use super::sync::{monotonic_ns, AtomicU64, Ordering};

const EPOCH: u64 = 3;
const SEGMENT_BYTES: usize = 256;
const WATCHDOG_NS: u64 = 20_000_000_000;

/// Memory of two TaskManagers, each with its own mapping of the other's.
struct Host {
    ring_memory: Arc<RingMemory>,
    peer_ring_memory: Arc<RingMemory>,
    arena: Arc<Arena>,
    peer_arena: Arc<Arena>,
    pool: Arc<CreditPool>,
}

fn duplicate(fd: Option<i32>) -> std::os::fd::OwnedFd {
    // SAFETY: the mapping that lent the descriptor outlives this call.
    unsafe { BorrowedFd::borrow_raw(fd.unwrap()) }
        .try_clone_to_owned()
        .unwrap()
}

impl Host {
    fn new(start: u64, segments: usize, floating: u32) -> Self {
        let ring = RingShape {
            data_capacity: 5,
            control_capacity: 3,
            start,
        };
        let ring_memory = RingMemory::create(
            EPOCH,
            RingMemoryShape {
                doorbells: 2,
                rings: 2,
                ring,
            },
        )
        .unwrap();
        let arena = Arena::create(EPOCH, SEGMENT_BYTES, segments).unwrap();
        Self {
            peer_ring_memory: Arc::new(RingMemory::open(duplicate(ring_memory.fd()), EPOCH).unwrap()),
            peer_arena: Arc::new(Arena::open(duplicate(arena.fd()), EPOCH).unwrap()),
            ring_memory: Arc::new(ring_memory),
            arena: Arc::new(arena),
            pool: Arc::new(CreditPool::new(floating)),
        }
    }

    fn output(&self, ring: u32, exclusive: u32) -> OutputChannel {
        let bell = self.peer_ring_memory.doorbell(1).unwrap();
        OutputChannel::new(self.arena.clone(), self.peer_ring_memory.clone(), ring, bell, exclusive).unwrap()
    }

    fn input(&self, ring: u32, exclusive: u32) -> InputChannel {
        let (ring_memory, arena, pool) = (self.ring_memory.clone(), self.peer_arena.clone(), self.pool.clone());
        InputChannel::new(
            ring_memory,
            ring,
            arena,
            self.ring_memory.doorbell(0).unwrap(),
            exclusive,
            pool,
        )
        .unwrap()
    }

    /// A word of ring 0 as a hostile peer would write it.
    fn word(&self, offset: usize) -> &AtomicU64 {
        let ring = self.ring_memory.ring(0).unwrap();
        let control: *const u8 = std::ptr::from_ref(ring.control()).cast();
        assert!(offset.is_multiple_of(8) && offset < ring.shape().stride());
        // SAFETY: aligned and inside the ring; all its words are atomics.
        unsafe { &*control.add(offset).cast() }
    }
}

const TAIL: usize = 0;
const ANNOUNCEMENT: usize = 8;
const HEAD: usize = 64;
const GRANTED: usize = 72;
const RETURN_TAIL: usize = 80;
const FIRST_ENTRY: usize = 192;
const FIRST_RETURN: usize = FIRST_ENTRY + 8 * 32;

fn send(output: &mut OutputChannel, value: u8) -> bool {
    let Some(mut segment) = output.try_open() else {
        return false;
    };
    assert_eq!(segment.len(), SEGMENT_BYTES);
    segment[..3].fill(value);
    output.publish(
        segment,
        DataHeader {
            bytes: 3,
            rows: u32::from(value),
            kind: 7,
            flags: 9,
        },
    );
    output.ring_peer();
    true
}

fn receive(input: &mut InputChannel) -> Option<SegmentRef> {
    input.grant();
    match input.try_next().unwrap()? {
        Received::Data { header, segment } => {
            assert_eq!((header.bytes, header.kind, header.flags), (3, 7, 9));
            assert_eq!((segment.len(), header.rows as u8), (3, segment[0]));
            Some(segment)
        }
        Received::Control { .. } => panic!("no control element was sent"),
    }
}

fn corrupt(result: Result<Option<Received>, TransportError>) -> String {
    match result {
        Err(TransportError::Corrupt(message)) => message,
        Err(other) => panic!("refused as {other:?}"),
        Ok(_) => panic!("followed"),
    }
}

#[test]
fn elements_arrive_in_order_across_every_wrap_around() {
    for start in [0, u64::from(u32::MAX) - 2, (1 << 63) - 3, u64::MAX - 2] {
        let host = Host::new(start, 4, 0);
        let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
        for round in 0..40 {
            assert!(send(&mut output, round) && output.try_control(round.into(), i64::MIN, -1, i64::MAX));
            assert_eq!(receive(&mut input).map(|segment| segment[2]), Some(round));
            match input.try_next().unwrap() {
                Some(Received::Control {
                    kind,
                    a: i64::MIN,
                    b: -1,
                    c: i64::MAX,
                }) => assert_eq!(kind, u16::from(round)),
                _ => panic!("the control element follows its data"),
            }
            assert!(input.try_next().unwrap().is_none() && !input.has_next());
        }
    }
}

#[test]
fn control_slots_are_there_when_data_is_blocked_and_the_reverse() {
    let host = Host::new(0, 5, 0);
    let (mut output, mut input) = (host.output(0, 5), host.input(0, 5));
    for value in 0..5 {
        assert!(send(&mut output, value));
    }
    assert!(!send(&mut output, 5) && !output.can_open());
    for kind in 0..3 {
        assert!(output.try_control(kind, 0, 0, 0));
    }
    assert!(!output.try_control(3, 0, 0, 0));
    let kept: Vec<_> = (0..5).map(|_| receive(&mut input).unwrap()).collect();
    assert!(
        !output.try_control(3, 0, 0, 0),
        "data that was taken frees no control slot"
    );
    assert!(matches!(input.try_next(), Ok(Some(Received::Control { kind: 0, .. }))));
    assert!(output.try_control(3, 0, 0, 0) && !output.try_control(4, 0, 0, 0));
    assert_eq!((input.outstanding(), input.credit_limit()), (5, 5));
    drop(kept);
    assert!(output.can_open() && input.outstanding() == 0);
}

#[test]
fn an_abandoned_or_dropped_segment_is_whole_again() {
    let host = Host::new(0, 2, 0);
    let (mut output, _input) = (host.output(0, 1), host.input(0, 1));
    for _ in 0..3 {
        let segment = output.try_open().unwrap();
        assert!(output.try_open().is_none() && host.arena.free_segments() == 1);
        output.abandon(segment);
        drop(output.try_open().unwrap());
    }
    assert_eq!(host.arena.free_segments(), 2);
}

#[test]
fn a_slow_channel_leaves_the_others_their_exclusive_segments() {
    let host = Host::new(0, 3, 4);
    let (mut slow, mut fast) = (host.output(0, 1), host.output(1, 1));
    let (mut slow_input, mut fast_input) = (host.input(0, 1), host.input(1, 1));
    slow.announce_backlog(4);
    slow_input.grant();
    assert_eq!(slow_input.credit_limit(), 5);
    assert!(
        send(&mut slow, 1) && send(&mut slow, 2),
        "one exclusive, one from the arena's shared pool"
    );
    assert!(
        !slow.can_open(),
        "credit is there, but the last segment is the other channel's"
    );
    for value in 0..10 {
        assert!(send(&mut fast, value) && receive(&mut fast_input).is_some());
    }
    drop((receive(&mut slow_input), receive(&mut slow_input)));
    assert!(slow.can_open());
}

#[test]
fn an_arena_too_small_for_its_channels_says_so() {
    let host = Host::new(0, 3, 0);
    let first = host.output(0, 2);
    let bell = host.peer_ring_memory.doorbell(1).unwrap();
    let second = OutputChannel::new(host.arena.clone(), host.peer_ring_memory.clone(), 1, bell.clone(), 2);
    assert!(matches!(second.err(), Some(TransportError::Resource(message)) if message.contains("1 of 3 unreserved")));
    drop(first);
    assert!(OutputChannel::new(host.arena.clone(), host.peer_ring_memory.clone(), 1, bell, 2).is_ok());
}

#[test]
fn wrong_use_is_refused() {
    let host = Host::new(0, 8, 0);
    let (mut output, _input) = (host.output(0, 1), host.input(0, 1));
    assert!(send(&mut output, 1));
    let bell = || host.ring_memory.doorbell(1).unwrap();
    let attach = |arena: &Arc<Arena>, ring, exclusive| {
        OutputChannel::new(arena.clone(), host.peer_ring_memory.clone(), ring, bell(), exclusive).err()
    };
    let refused = [
        attach(&host.arena, 0, 1),
        attach(&host.arena, 2, 1),
        attach(&host.arena, 1, 0),
        attach(&host.arena, 1, 6),
        attach(&host.peer_arena, 1, 1),
        InputChannel::new(
            host.ring_memory.clone(),
            0,
            host.peer_arena.clone(),
            bell(),
            1,
            host.pool.clone(),
        )
        .err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(TransportError::Internal(_))), "{error:?}");
    }
}

/// A way to break a word.
type Damage = fn(u64) -> u64;

#[test]
fn corrupt_descriptors_are_refused_and_stay_refused() {
    let entry = |word: usize| FIRST_ENTRY + 8 * word;
    let cases: [(usize, Damage, &str); 9] = [
        (entry(0), |word| word & !0xFF, "neither data nor control"),
        (entry(0), |word| word ^ 1 << 8, "neither data nor control"),
        (entry(0), |word| word ^ 1 << 48, "neither data nor control"),
        (entry(1), |word| word & !0xFFFF_FFFF | 4, "segment 4"),
        (entry(1), |word| word & 0xFFFF_FFFF | 257 << 32, "257 bytes"),
        (entry(2), |word| word | 1 << 32, "neither data nor control"),
        (entry(3), |word| word | 1, "neither data nor control"),
        (TAIL, |_| 9, "holds 9 descriptors"),
        (TAIL, |_| u64::MAX, "descriptors and has room for 8"),
    ];
    for (offset, break_it, message) in cases {
        let host = Host::new(0, 4, 0);
        let (mut output, mut input) = (host.output(0, 1), host.input(0, 1));
        assert!(send(&mut output, 1));
        let word = host.word(offset);
        word.store(break_it(word.load(Ordering::Relaxed)), Ordering::Relaxed);
        for _ in 0..2 {
            let got = corrupt(input.try_next());
            assert!(got.contains(message), "{got:?} lacks {message:?}");
        }
    }
}

#[test]
fn a_producer_that_cheats_with_credit_is_refused() {
    let host = Host::new(0, 4, 0);
    let (mut output, mut input) = (host.output(0, 1), host.input(0, 1));
    assert!(send(&mut output, 1));
    let _kept = receive(&mut input);
    for word in 0..4 {
        let first = host.word(FIRST_ENTRY + 8 * word).load(Ordering::Relaxed);
        let stamp = if word == 0 { 1 << 48 } else { 0 };
        host.word(FIRST_ENTRY + 32 + 8 * word)
            .store(first | stamp, Ordering::Relaxed);
    }
    host.word(TAIL).store(2, Ordering::Release);
    assert!(corrupt(input.try_next()).contains("without credit"));
    host.word(ANNOUNCEMENT).store(5 << 32, Ordering::Relaxed);
    input.grant();
    assert!(corrupt(input.try_next()).contains("relinquished 5"));
}

#[test]
fn a_consumer_that_cheats_gets_nothing_more() {
    let cases: [(usize, u64, usize, u64, &str); 3] = [
        (GRANTED, 100, HEAD, 0, "granted"),
        (FIRST_RETURN, 2, RETURN_TAIL, 1, "returned segment 2"),
        (FIRST_RETURN, 77, RETURN_TAIL, 1, "returned segment 77"),
    ];
    for (offset, value, then, counter, message) in cases {
        let host = Host::new(0, 4, 0);
        let (mut output, _input) = (host.output(0, 2), host.input(0, 2));
        assert!(send(&mut output, 1) && output.check().is_ok());
        host.word(offset).store(value, Ordering::Relaxed);
        host.word(then).store(counter, Ordering::Release);
        assert!(!output.can_open() && output.try_open().is_none());
        let Err(TransportError::Corrupt(got)) = output.check() else {
            panic!("not noticed")
        };
        assert!(got.contains(message), "{got:?} lacks {message:?}");
    }
}

#[test]
fn segments_outlive_everything_they_came_from() {
    let host = Host::new(0, 4, 1);
    let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
    assert!(send(&mut output, 5) && send(&mut output, 6));
    let kept = receive(&mut input).unwrap();
    drop((output, input, host));
    assert_eq!(*kept, [5, 5, 5]);
    std::thread::spawn(move || drop(kept)).join().unwrap();
}

#[test]
fn a_closed_consumer_returns_what_it_had_and_grants_no_more() {
    let host = Host::new(0, 4, 1);
    let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
    assert!(send(&mut output, 5) && send(&mut output, 6));
    let kept = receive(&mut input).unwrap();
    drop(input);
    assert!(!output.can_open());
    assert_eq!(host.arena.free_segments(), 3, "the unread one is back");
    drop(kept);
    assert!(!output.can_open() && output.check().is_ok());
    assert_eq!((host.arena.free_segments(), host.pool.free()), (4, 1));
}

#[test]
fn the_producer_is_rung_only_when_it_waits() {
    let host = Host::new(0, 4, 0);
    let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
    let (producer, consumer) = (
        host.ring_memory.doorbell(0).unwrap(),
        host.ring_memory.doorbell(1).unwrap(),
    );
    let rung = |bell: &Doorbell, token| bell.wait(token, Some(monotonic_ns()), 0) == Wake::Rung;
    let tokens = (producer.prepare(), consumer.prepare());
    assert!(send(&mut output, 1));
    drop(receive(&mut input));
    assert!(!rung(&producer, tokens.0) && rung(&consumer, tokens.1));
    let token = consumer.prepare();
    output.ring_peer();
    assert!(!rung(&consumer, token), "nothing new was sent");
    assert!(send(&mut output, 1) && send(&mut output, 2) && !output.can_open());
    drop(receive(&mut input));
    assert!(rung(&producer, tokens.0));
}

fn wait_for<T>(bell: &Doorbell, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline_ns = monotonic_ns() + WATCHDOG_NS;
    loop {
        let token = bell.prepare();
        if let Some(value) = attempt() {
            return value;
        }
        let wake = bell.wait(token, Some(deadline_ns), 2_000);
        assert_ne!(wake, Wake::TimedOut, "nobody rings");
    }
}

#[test]
fn two_threads_exchange_more_than_the_ring_holds() {
    let host = Host::new(u64::MAX - 1000, 6, 2);
    let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
    let (producer, consumer) = (
        host.ring_memory.doorbell(0).unwrap(),
        host.ring_memory.doorbell(1).unwrap(),
    );
    let sender = std::thread::spawn(move || {
        for number in 0..20_000u32 {
            output.announce_backlog(number % 4);
            wait_for(&producer, || send(&mut output, number as u8).then_some(()));
            if number % 16 == 0 {
                wait_for(&producer, || output.try_control(1, number.into(), 0, 0).then_some(()));
                output.ring_peer();
            }
        }
        output
    });
    for number in 0..20_000u32 {
        assert_eq!(wait_for(&consumer, || receive(&mut input))[0], number as u8);
        if number % 16 == 0 {
            let element = wait_for(&consumer, || input.try_next().unwrap());
            assert!(matches!(element, Received::Control { a, .. } if a == i64::from(number)));
        }
    }
    let mut output = sender.join().unwrap();
    output.announce_backlog(0);
    input.grant();
    assert!(output.can_open() && output.check().is_ok());
    input.grant();
    assert_eq!(
        (host.arena.free_segments(), host.pool.free(), input.credit_limit()),
        (6, 2, 2)
    );
}

/// Forks a child that only uses the transport and never returns.
fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child calls nothing that could wait for a lock of another thread: no allocation of note, no output,
    // and it leaves through `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            body();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) }
        }
        pid => pid,
    }
}

fn kill_and_wait(pid: libc::pid_t) {
    // SAFETY: a child of ours that was not waited for.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

#[test]
fn a_killed_producer_leaves_its_segments_readable() {
    let host = Host::new(0, 6, 0);
    let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
    let (producer, consumer) = (
        host.ring_memory.doorbell(0).unwrap(),
        host.ring_memory.doorbell(1).unwrap(),
    );
    let child = fork(|| loop {
        while send(&mut output, 4) {}
        let token = producer.prepare();
        if !output.can_open() {
            producer.wait(token, None, 0);
        }
    });
    for _ in 0..1000 {
        assert_eq!(*wait_for(&consumer, || receive(&mut input)), [4, 4, 4]);
    }
    let kept = wait_for(&consumer, || receive(&mut input));
    kill_and_wait(child);
    while let Some(segment) = receive(&mut input) {
        assert_eq!(*segment, [4, 4, 4]);
    }
    assert_eq!((*kept).len(), 3);
    drop(kept);
    let token = consumer.prepare();
    host.peer_ring_memory.doorbell(1).unwrap().ring();
    assert_eq!(consumer.wait(token, None, 0), Wake::Rung);
}

#[test]
fn a_killed_consumer_leaves_its_producer_blocked_but_alive() {
    let host = Host::new(0, 6, 0);
    let (mut output, mut input) = (host.output(0, 2), host.input(0, 2));
    let (producer, consumer) = (
        host.ring_memory.doorbell(0).unwrap(),
        host.ring_memory.doorbell(1).unwrap(),
    );
    let child = fork(|| loop {
        let token = consumer.prepare();
        if receive(&mut input).is_none() {
            consumer.wait(token, None, 0);
        }
    });
    for _ in 0..1000 {
        wait_for(&producer, || send(&mut output, 4).then_some(()));
    }
    kill_and_wait(child);
    while send(&mut output, 4) {}
    assert!(!output.can_open() && output.check().is_ok());
    while output.try_control(1, 0, 0, 0) {}
    output.ring_peer();
    let token = producer.prepare();
    host.ring_memory.doorbell(0).unwrap().ring();
    assert_eq!(producer.wait(token, None, 0), Wake::Rung);
}
