//! Ring, doorbell and credit protocol under every interleaving that loom finds: the shipped channel code, with its
//! shared words on the heap. A lost wake-up shows as a deadlock, an early reuse of a segment as a data race.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --no-default-features loom`

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::arena::Arena;
use super::channel::{CreditPool, DataHeader, InputChannel, OutputChannel, Received, SegmentRef};
use super::ring_memory::{Doorbell, RingMemory, RingMemoryShape};
use super::ring_words::RingShape;
use super::sync::{AtomicU32, Ordering};

const PRODUCER: u32 = 0;
const CONSUMER: u32 = 1;

fn check(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(body);
}

/// Represents the bytes of the segments: loom sees every access and reports two that are not ordered.
struct Payload(Vec<UnsafeCell<u64>>);

// SAFETY: that accesses are ordered is what loom checks here.
unsafe impl Sync for Payload {}
// SAFETY: as above.
unsafe impl Send for Payload {}

struct Fixture {
    output: OutputChannel,
    input: InputChannel,
    producer: Doorbell,
    consumer: Doorbell,
    payload: Arc<Payload>,
    pool: Arc<CreditPool>,
}

fn fixture(data_capacity: u32, control_capacity: u32, exclusive: u32, floating: u32) -> Fixture {
    // Counters wrap around in the middle of each test.
    let ring = RingShape {
        data_capacity,
        control_capacity,
        start: u64::MAX,
    };
    let ring_memory = Arc::new(
        RingMemory::anonymous(
            1,
            RingMemoryShape {
                doorbells: 2,
                rings: 1,
                ring,
            },
        )
        .unwrap(),
    );
    let arena = Arc::new(Arena::anonymous(1, 64, data_capacity as usize).unwrap());
    let bells = [PRODUCER, CONSUMER].map(|slot| ring_memory.doorbell(slot).unwrap());
    let [producer, consumer] = bells;
    let pool = Arc::new(CreditPool::new(floating));
    let output = OutputChannel::new(arena.clone(), ring_memory.clone(), 0, consumer.clone(), exclusive).unwrap();
    let input = InputChannel::new(ring_memory, 0, arena, producer.clone(), exclusive, pool.clone()).unwrap();
    let payload = Arc::new(Payload((0..data_capacity).map(|_| UnsafeCell::new(0)).collect()));
    Fixture {
        output,
        input,
        producer,
        consumer,
        payload,
        pool,
    }
}

/// Runs `attempt` until it gives something, asleep on the doorbell in between: exactly what a slot does.
fn sleep_until<T>(bell: &Doorbell, mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        let token = bell.prepare();
        if let Some(value) = attempt() {
            return value;
        }
        bell.wait(token, None, 0);
    }
}

fn send(output: &mut OutputChannel, bell: &Doorbell, payload: &Payload, value: u64) {
    let segment = sleep_until(bell, || output.try_open());
    // SAFETY: checked by loom.
    payload.0[segment.index() as usize].with_mut(|cell| unsafe { *cell = value });
    output.publish(
        segment,
        DataHeader {
            bytes: 8,
            rows: value as u32,
            kind: 1,
            flags: 0,
        },
    );
    output.ring_peer();
}

fn receive(input: &mut InputChannel, bell: &Doorbell) -> (DataHeader, SegmentRef) {
    let received = sleep_until(bell, || {
        input.grant();
        input.try_next().unwrap()
    });
    match received {
        Received::Data { header, segment } => (header, segment),
        Received::Control { .. } => panic!("no control element was sent"),
    }
}

fn read(payload: &Payload, segment: &SegmentRef) -> u64 {
    // SAFETY: checked by loom.
    payload.0[segment.index() as usize].with(|cell| unsafe { *cell })
}

#[test]
fn loom_a_ring_wakes_the_sleeper() {
    check(3, || {
        let Fixture { consumer: bell, .. } = fixture(1, 1, 1, 0);
        let flags = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let ringers = [0, 1].map(|index| {
            let (bell, flags) = (bell.clone(), flags.clone());
            thread::spawn(move || {
                flags[index].store(1, Ordering::Relaxed);
                bell.ring();
            })
        });
        sleep_until(&bell, || {
            let seen = flags.iter().filter(|flag| flag.load(Ordering::Relaxed) == 1).count();
            (seen == 2).then_some(())
        });
        for ringer in ringers {
            ringer.join().unwrap();
        }
    });
}

#[test]
fn loom_two_sleepers_on_one_doorbell() {
    check(3, || {
        let Fixture { consumer: bell, .. } = fixture(1, 1, 1, 0);
        let flag = Arc::new(AtomicU32::new(0));
        let sleeper = {
            let (bell, flag) = (bell.clone(), flag.clone());
            thread::spawn(move || sleep_until(&bell, || (flag.load(Ordering::Relaxed) == 1).then_some(())))
        };
        let ringer = {
            let (bell, flag) = (bell.clone(), flag.clone());
            thread::spawn(move || {
                flag.store(1, Ordering::Relaxed);
                bell.ring();
            })
        };
        sleep_until(&bell, || (flag.load(Ordering::Relaxed) == 1).then_some(()));
        ringer.join().unwrap();
        sleeper.join().unwrap();
    });
}

#[test]
fn loom_segments_and_credits_go_round() {
    check(2, || {
        let Fixture {
            mut output,
            mut input,
            producer,
            consumer,
            payload,
            ..
        } = fixture(1, 1, 1, 0);
        let shared = payload.clone();
        let sender = thread::spawn(move || {
            for value in 1..=3 {
                send(&mut output, &producer, &shared, value);
            }
            output.check().unwrap();
        });
        for value in 1..=3 {
            let (header, segment) = receive(&mut input, &consumer);
            assert_eq!((u64::from(header.rows), read(&payload, &segment)), (value, value));
        }
        sender.join().unwrap();
    });
}

#[test]
fn loom_a_segment_is_released_on_another_thread() {
    check(2, || {
        let Fixture {
            mut output,
            mut input,
            producer,
            consumer,
            payload,
            ..
        } = fixture(2, 1, 2, 0);
        let shared = payload.clone();
        let sender = thread::spawn(move || {
            for value in 1..=3 {
                send(&mut output, &producer, &shared, value);
            }
        });
        let (_, first) = receive(&mut input, &consumer);
        let shared = payload.clone();
        let holder = thread::spawn(move || {
            assert_eq!(read(&shared, &first), 1);
            drop(first);
        });
        for value in 2..=3 {
            let (_, segment) = receive(&mut input, &consumer);
            assert_eq!(read(&payload, &segment), value);
        }
        holder.join().unwrap();
        sender.join().unwrap();
    });
}

#[test]
fn loom_a_full_control_ring_wakes_its_producer() {
    check(2, || {
        let Fixture {
            mut output,
            mut input,
            producer,
            consumer,
            ..
        } = fixture(1, 1, 1, 0);
        let sender = thread::spawn(move || {
            for number in 0..3 {
                sleep_until(&producer, || output.try_control(5, number, 0, -1).then_some(()));
                output.ring_peer();
            }
        });
        for number in 0..3 {
            match sleep_until(&consumer, || input.try_next().unwrap()) {
                Received::Control {
                    kind: 5,
                    a,
                    b: 0,
                    c: -1,
                } => assert_eq!(a, number),
                _ => panic!("a control element arrives as it was sent"),
            }
        }
        sender.join().unwrap();
    });
}

/// The consumer retains its only exclusive segment, so the producer can proceed only with a floating credit, lent
/// because of its backlog. At the end, that credit is back in the pool.
#[test]
fn loom_backlog_borrows_and_gives_back() {
    check(2, || {
        let Fixture {
            mut output,
            mut input,
            producer,
            consumer,
            payload,
            pool,
        } = fixture(2, 1, 1, 1);
        let shared = payload.clone();
        let sender = thread::spawn(move || {
            send(&mut output, &producer, &shared, 1);
            output.announce_backlog(1);
            output.ring_peer();
            send(&mut output, &producer, &shared, 2);
            output.announce_backlog(0);
            output.ring_peer();
            output
        });
        let (_, first) = receive(&mut input, &consumer);
        let (_, second) = receive(&mut input, &consumer);
        assert_eq!((read(&payload, &first), read(&payload, &second)), (1, 2));
        drop(second);
        drop(first);
        let mut output = sender.join().unwrap();
        input.grant();
        assert!(output.can_open()); // a grant may have crossed the last announcement; what is too much goes back here
        input.grant();
        assert_eq!((pool.free(), input.credit_limit(), input.outstanding()), (1, 1, 0));
    });
}

/// Either end may close at any moment: referenced segments stay valid, and none is returned twice.
#[test]
fn loom_the_consumer_closes_while_the_producer_sends() {
    check(3, || {
        let Fixture {
            mut output,
            mut input,
            payload,
            ..
        } = fixture(2, 1, 2, 0);
        let shared = payload.clone();
        let sender = thread::spawn(move || {
            for value in 1..=2 {
                if let Some(segment) = output.try_open() {
                    // SAFETY: checked by loom.
                    shared.0[segment.index() as usize].with_mut(|cell| unsafe { *cell = value });
                    output.publish(
                        segment,
                        DataHeader {
                            bytes: 8,
                            rows: 1,
                            kind: 1,
                            flags: 0,
                        },
                    );
                }
            }
            output.can_open();
            output.check().unwrap();
        });
        let kept = input.try_next().unwrap();
        drop(input);
        if let Some(Received::Data { segment, .. }) = &kept {
            assert_eq!(read(&payload, segment), 1);
        }
        drop(kept);
        sender.join().unwrap();
    });
}
