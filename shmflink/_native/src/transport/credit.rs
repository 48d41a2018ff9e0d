//! Credit arithmetic: pure data, no shared memory.
//!
//! The consumer counts the credits it has ever granted, the producer those it has ever used. Both counters only grow,
//! so a stale read is always safe. The producer uses a credit by sending a segment, or by *relinquishing* it: a
//! floating credit that it turned out not to need. The consumer keeps:
//!
//! ```text
//! in flight  = granted - released - relinquished      unused at the producer + in the ring + in the consumer's hands
//! in flight <= exclusive + floating held <= data capacity of the ring
//! ```
//! After every `settle` the first `<=` is an equality. So at most `data capacity` data descriptors are ever in the
//! ring: publishing against a credit never finds it full.

use super::error::TransportError;
use super::sync::{AtomicU32, Ordering};

/// What the producer announces, in one word so that it is read atomically: relinquished so far (mod 2^32) and backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    pub relinquished: u32,
    pub backlog: u32,
}

impl Announcement {
    pub fn to_word(self) -> u64 {
        u64::from(self.relinquished) << 32 | u64::from(self.backlog)
    }

    pub fn from_word(word: u64) -> Self {
        Self {
            relinquished: (word >> 32) as u32,
            backlog: word as u32,
        }
    }
}

/// The producer's credit counters of one channel.
#[derive(Clone, Debug)]
pub struct ProducerCredit {
    used: u64,
    exclusive: u32,
    capacity: u32,
    announced: Announcement,
}

impl ProducerCredit {
    /// `start`: initial value of the grant counter; `capacity`: the most credits that can be in flight.
    pub fn new(start: u64, exclusive: u32, capacity: u32) -> Self {
        Self {
            used: start,
            exclusive,
            capacity,
            announced: Announcement::default(),
        }
    }

    /// Credits left if the counter reads `granted` and `open` segments already hold one each.
    pub fn available(&self, granted: u64, open: u32) -> Result<u32, TransportError> {
        let unused = granted.wrapping_sub(self.used);
        if unused > u64::from(self.capacity) || u64::from(open) > unused {
            return Err(TransportError::Corrupt(format!(
                "the consumer granted {unused} credits beyond those used, {open} of them held by open segments, in a \
                 ring for {}",
                self.capacity
            )));
        }
        Ok(unused as u32 - open)
    }

    /// The backlog announced last, in segments.
    pub fn backlog(&self) -> u32 {
        self.announced.backlog
    }

    /// A segment was sent against a credit.
    pub fn use_one(&mut self) {
        self.used = self.used.wrapping_add(1);
    }

    /// What to publish for a backlog of `segments` with `unused` free credits. Credits beyond exclusive + backlog are
    /// relinquished (second result), so that an idle channel does not retain floating credits. None if nothing changed.
    pub fn announce(&mut self, segments: u32, unused: u32) -> Option<(Announcement, u32)> {
        let surplus = unused.saturating_sub(self.exclusive.saturating_add(segments));
        if segments == self.announced.backlog && surplus == 0 {
            return None;
        }
        self.used = self.used.wrapping_add(u64::from(surplus));
        self.announced.relinquished = self.announced.relinquished.wrapping_add(surplus);
        self.announced.backlog = segments;
        Some((self.announced, surplus))
    }
}

/// Floating credits of one gate, shared by its channels in proportion to need.
///
/// A channel may hold at most its share, total / (channels with a backlog): a single busy channel can have all floating
/// credits, and returns them as others become busy.
pub struct CreditPool {
    total: u32,
    free: AtomicU32,
    demanding: AtomicU32,
}

impl CreditPool {
    pub fn new(total: u32) -> Self {
        Self {
            total,
            free: AtomicU32::new(total),
            demanding: AtomicU32::new(0),
        }
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    pub fn free(&self) -> u32 {
        self.free.load(Ordering::Relaxed)
    }

    // The counters publish only themselves, and each change is one atomic step: relaxed order suffices.

    fn take(&self, wanted: u32) -> u32 {
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            let taken = wanted.min(free);
            match self
                .free
                .compare_exchange_weak(free, free - taken, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return taken,
                Err(now) => free = now,
            }
        }
    }

    fn put(&self, count: u32) {
        let before = self.free.fetch_add(count, Ordering::Relaxed);
        debug_assert!(
            before + count <= self.total,
            "more floating credits given back than taken"
        );
    }

    fn join(&self) {
        self.demanding.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.demanding.fetch_sub(1, Ordering::Relaxed);
    }

    fn share(&self) -> u32 {
        (self.total / self.demanding.load(Ordering::Relaxed).max(1)).max(1)
    }
}

/// The consumer's credit counters of one channel.
#[derive(Debug)]
pub struct ConsumerCredit {
    granted: u64,
    in_flight: u32,
    in_hand: u32,
    exclusive: u32,
    floating: u32,
    capacity: u32,
    seen: Announcement,
    demanding: bool,
    closed: bool,
}

impl ConsumerCredit {
    /// Grants nothing until the first `settle`.
    pub fn new(start: u64, exclusive: u32, capacity: u32) -> Self {
        assert!(exclusive >= 1 && exclusive <= capacity);
        Self {
            granted: start,
            in_flight: 0,
            in_hand: 0,
            exclusive,
            floating: 0,
            capacity,
            seen: Announcement::default(),
            demanding: false,
            closed: false,
        }
    }

    /// The monotonic grant counter.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// The most segments that can be in flight now: exclusive plus floating.
    pub fn limit(&self) -> u32 {
        self.exclusive + self.floating
    }

    /// Segments received and not yet released.
    pub fn in_hand(&self) -> u32 {
        self.in_hand
    }

    /// True if `settle` with this announcement might change anything.
    pub fn wants_settling(&self, announcement: Announcement, pool: &CreditPool) -> bool {
        let unserved = self.demanding && self.floating < self.needed(announcement.backlog) && pool.free() > 0;
        announcement != self.seen || unserved
    }

    /// A data segment arrived. Corrupt if the producer had no credit for it.
    pub fn receive(&mut self) -> Result<(), TransportError> {
        if self.in_hand >= self.in_flight {
            return Err(TransportError::Corrupt(format!(
                "a data segment arrived without credit: {} in hand, {} in flight",
                self.in_hand, self.in_flight
            )));
        }
        self.in_hand += 1;
        Ok(())
    }

    /// The last reference to a received segment was dropped; `settle` decides whether to grant its credit again.
    pub fn release(&mut self) {
        assert!(self.in_hand > 0, "a segment is released once");
        self.in_hand -= 1;
        self.in_flight -= 1;
    }

    /// Processes the announcement, moves floating credits and grants as many as allowed. Returns the grant counter.
    pub fn settle(&mut self, announcement: Announcement, pool: &CreditPool) -> Result<u64, TransportError> {
        let given_up = announcement.relinquished.wrapping_sub(self.seen.relinquished);
        if given_up > self.in_flight - self.in_hand {
            return Err(TransportError::Corrupt(format!(
                "the producer relinquished {given_up} credits and holds at most {}",
                self.in_flight - self.in_hand
            )));
        }
        self.in_flight -= given_up;
        self.seen = announcement;
        self.move_floating(
            if self.closed {
                0
            } else {
                self.needed(announcement.backlog)
            },
            pool,
        );
        if !self.closed {
            let credits = self.limit() - self.in_flight;
            self.in_flight += credits;
            self.granted = self.granted.wrapping_add(u64::from(credits));
        }
        Ok(self.granted)
    }

    /// No further credit is granted; floating ones go back to the pool as they become free.
    pub fn close(&mut self, pool: &CreditPool) {
        self.closed = true;
        self.move_floating(0, pool);
    }

    fn needed(&self, backlog: u32) -> u32 {
        backlog.min(self.capacity - self.exclusive)
    }

    fn move_floating(&mut self, needed: u32, pool: &CreditPool) {
        match (self.demanding, needed > 0) {
            (false, true) => pool.join(),
            (true, false) => pool.leave(),
            _ => {}
        }
        self.demanding = needed > 0;
        let target = needed.min(pool.share());
        if target > self.floating {
            self.floating += pool.take(target - self.floating);
        } else {
            let idle = self.limit() - self.in_flight.min(self.limit());
            let back = idle.min(self.floating - target);
            self.floating -= back;
            pool.put(back);
        }
    }
}
