//! Credit arithmetic against its invariants, on random schedules with announcements and grants seen late.

use std::collections::VecDeque;

use super::credit::{Announcement, ConsumerCredit, CreditPool, ProducerCredit};

const CAPACITY: u32 = 8;

/// xorshift64*: the seed of a failure is in the panic message.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// One channel whose two ends see each other's counters late.
struct Channel {
    producer: ProducerCredit,
    consumer: ConsumerCredit,
    granted_seen: u64,
    announced: Announcement,
    announced_seen: Announcement,
    ring: u32,
}

impl Channel {
    fn new(start: u64, exclusive: u32, pool: &CreditPool) -> Self {
        let mut consumer = ConsumerCredit::new(start, exclusive, CAPACITY);
        let granted = consumer.settle(Announcement::default(), pool).unwrap();
        Self {
            producer: ProducerCredit::new(start, exclusive, CAPACITY),
            consumer,
            granted_seen: granted,
            announced: Announcement::default(),
            announced_seen: Announcement::default(),
            ring: 0,
        }
    }

    fn unused(&self) -> u32 {
        self.producer.available(self.granted_seen, 0).unwrap()
    }

    fn announce(&mut self, backlog: u32) {
        let unused = self.unused();
        if let Some((announcement, _)) = self.producer.announce(backlog, unused) {
            self.announced = announcement;
        }
    }

    fn settle(&mut self, pool: &CreditPool) {
        self.consumer.settle(self.announced_seen, pool).unwrap();
    }

    fn step(&mut self, random: &mut Random, pool: &CreditPool) {
        match random.below(7) {
            0 => self.granted_seen = self.consumer.granted(),
            1 => self.announced_seen = self.announced,
            2 => self.announce(random.below(12) as u32),
            3 => self.settle(pool),
            4 if self.unused() > 0 => {
                self.producer.use_one();
                self.ring += 1;
                assert!(
                    self.ring <= CAPACITY,
                    "a publication against a credit found the ring full"
                );
            }
            5 if self.ring > 0 => {
                self.consumer.receive().unwrap();
                self.ring -= 1;
            }
            6 if self.consumer.in_hand() > 0 => {
                self.consumer.release();
                self.settle(pool);
            }
            _ => {}
        }
    }

    /// No backlog, everything read and released, both ends up to date.
    fn come_to_rest(&mut self, pool: &CreditPool) {
        while self.ring > 0 {
            self.consumer.receive().unwrap();
            self.ring -= 1;
        }
        while self.consumer.in_hand() > 0 {
            self.consumer.release();
        }
        for _ in 0..3 {
            self.granted_seen = self.consumer.granted();
            self.announce(0);
            self.announced_seen = self.announced;
            self.settle(pool);
        }
        self.granted_seen = self.consumer.granted();
    }
}

#[test]
fn random_schedules_keep_the_books() {
    for seed in 1..=300u64 {
        let mut random = Random(seed);
        let floating = random.below(10) as u32;
        let pool = CreditPool::new(floating);
        let start = [0, u64::from(u32::MAX) - 3, u64::MAX - 3][seed as usize % 3];
        let exclusives: Vec<u32> = (0..3).map(|_| 1 + random.below(3) as u32).collect();
        let mut channels: Vec<Channel> = exclusives
            .iter()
            .map(|&count| Channel::new(start, count, &pool))
            .collect();
        for _ in 0..400 {
            let index = random.below(3) as usize;
            channels[index].step(&mut random, &pool);
            let lent: u32 = channels
                .iter()
                .zip(&exclusives)
                .map(|(c, exclusive)| c.consumer.limit() - exclusive)
                .sum();
            assert_eq!(lent + pool.free(), floating, "seed {seed}");
        }
        for (channel, &exclusive) in channels.iter_mut().zip(&exclusives) {
            channel.come_to_rest(&pool);
            assert_eq!(
                (channel.unused(), channel.consumer.limit()),
                (exclusive, exclusive),
                "seed {seed}"
            );
        }
        assert_eq!(pool.free(), floating, "seed {seed}");
    }
}

#[test]
fn floating_credits_follow_the_backlog() {
    let pool = CreditPool::new(4);
    let mut channels: Vec<Channel> = (0..2).map(|_| Channel::new(0, 2, &pool)).collect();
    let mut announce = |index: usize, backlog: u32| {
        let channel: &mut Channel = &mut channels[index];
        channel.announce(backlog);
        channel.announced_seen = channel.announced;
        channel.settle(&pool);
        channel.granted_seen = channel.consumer.granted();
        (channel.consumer.limit(), channel.unused())
    };
    assert_eq!(announce(0, 3), (5, 5)); // alone: all it needs
    assert_eq!(announce(1, 9), (3, 3)); // what is left of its share
    assert_eq!(announce(0, 1), (3, 3)); // gives up two
    assert_eq!(announce(1, 9), (4, 4)); // and the other has its half
    assert_eq!(announce(0, 0), (2, 2));
    assert_eq!(announce(1, 9), (6, 6)); // alone again
    assert_eq!(announce(1, 0), (2, 2));
    assert_eq!(pool.free(), 4);
}

#[test]
fn a_share_shrinks_as_segments_come_back() {
    let pool = CreditPool::new(4);
    let mut busy = Channel::new(0, 1, &pool);
    busy.announced = Announcement {
        relinquished: 0,
        backlog: 7,
    };
    busy.announced_seen = busy.announced;
    busy.settle(&pool);
    assert_eq!(busy.consumer.limit(), 5);
    for _ in 0..5 {
        busy.consumer.receive().unwrap();
    }
    let mut other = Channel::new(0, 1, &pool);
    other.announced_seen = Announcement {
        relinquished: 0,
        backlog: 7,
    };
    other.settle(&pool);
    assert_eq!(other.consumer.limit(), 1, "nothing is left");
    for expected in [4, 3, 3] {
        busy.consumer.release();
        busy.settle(&pool);
        assert_eq!(
            busy.consumer.limit(),
            expected,
            "released credits go to the other until each has its share"
        );
    }
    assert!(other.consumer.wants_settling(other.announced_seen, &pool));
    other.settle(&pool);
    assert_eq!(other.consumer.limit(), 3);
}

#[test]
fn books_that_do_not_add_up_are_refused() {
    let pool = CreditPool::new(0);
    let mut consumer = ConsumerCredit::new(0, 1, CAPACITY);
    assert!(consumer.receive().is_err(), "nothing was granted yet");
    consumer.settle(Announcement::default(), &pool).unwrap();
    consumer.receive().unwrap();
    assert!(consumer.receive().is_err(), "one credit, two segments");
    assert!(
        consumer
            .settle(
                Announcement {
                    relinquished: 1,
                    backlog: 0
                },
                &pool
            )
            .is_err(),
        "the credit is used"
    );
    let producer = ProducerCredit::new(0, 1, CAPACITY);
    assert!(producer.available(u64::from(CAPACITY) + 1, 0).is_err());
    assert!(producer.available(u64::MAX, 0).is_err(), "the counter went back");
    assert!(producer.available(1, 2).is_err());
}

#[test]
fn announcements_are_one_word() {
    for (relinquished, backlog) in [(0, 0), (1, 2), (u32::MAX, 0), (0, u32::MAX)] {
        let announcement = Announcement { relinquished, backlog };
        assert_eq!(Announcement::from_word(announcement.to_word()), announcement);
    }
}

#[test]
fn channels_queue_for_nothing_when_the_pool_is_empty() {
    let pool = CreditPool::new(0);
    let mut channel = Channel::new(0, 1, &pool);
    let mut seen = VecDeque::new();
    for backlog in [5, 0, 5] {
        channel.announce(backlog);
        channel.announced_seen = channel.announced;
        channel.settle(&pool);
        seen.push_back(channel.consumer.limit());
        assert!(!channel.consumer.wants_settling(channel.announced_seen, &pool));
    }
    assert_eq!(seen, [1, 1, 1]);
}
