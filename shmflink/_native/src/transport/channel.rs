//! Both ends of one channel: the exchange builds partitions and gates from them.
//!
//! Producer: `try_open` a segment against a credit, write it, `publish` it; `ring_peer` once per write. Consumer:
//! `try_next`, read the `SegmentRef`; dropping its last clone returns segment and credit, and rings the producer if it
//! waits. Neither end ever blocks. Each end keeps the mappings that it accesses alive, so either end may close, or its
//! process may die, in any order.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering as PlainOrdering};
use std::sync::Arc;

use super::arena::{Account, Arena, Lease};
pub use super::credit::CreditPool;
use super::credit::{Announcement, ConsumerCredit, ProducerCredit};
pub use super::error::TransportError;
use super::ring::{must_ring, Descriptor, ReceiveHalf, ReturnHalf, SendHalf};
use super::ring_memory::{Doorbell, RingMemory};
use super::ring_words::{WAITS_FOR_CONTROL, WAITS_FOR_CREDIT};
use super::sync::{lock, Mutex};

/// Sent with a data segment; the exchange defines `kind` and `flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataHeader {
    /// Used bytes of the segment.
    pub bytes: u32,
    pub rows: u32,
    pub kind: u16,
    pub flags: u16,
}

/// A segment being written; holds one credit. `publish` or `abandon` it; dropping it abandons it.
pub struct OpenSegment {
    lease: Lease,
}

impl OpenSegment {
    pub fn index(&self) -> u32 {
        self.lease.index()
    }
}

impl Deref for OpenSegment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.lease.bytes()
    }
}

impl DerefMut for OpenSegment {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.lease.bytes_mut()
    }
}

/// Producing end. Used by one thread at a time.
pub struct OutputChannel {
    ring: SendHalf,
    arena: Arc<Arena>,
    account: Arc<Account>,
    credit: ProducerCredit,
    peer: Doorbell,
    unrung: AtomicBool,
    fault: Option<TransportError>,
}

impl OutputChannel {
    /// `arena` is the producer's own, `ring_memory` and `peer` are the consumer's. Resource if the arena has too few
    /// segments, Internal if the ring does not exist or is in use.
    pub fn new(
        arena: Arc<Arena>,
        ring_memory: Arc<RingMemory>,
        ring: u32,
        peer: Doorbell,
        exclusive: u32,
    ) -> Result<Self, TransportError> {
        let memory = ring_memory.ring(ring)?;
        let shape = memory.shape();
        check_exclusive(exclusive, shape.data_capacity)?;
        let credit = ProducerCredit::new(shape.start, exclusive, shape.data_capacity);
        let account = arena.account(exclusive)?;
        let ring = SendHalf::attach(memory)?;
        Ok(Self {
            ring,
            arena,
            account,
            credit,
            peer,
            unrung: AtomicBool::new(false),
            fault: None,
        })
    }

    /// A segment to write, against one credit; None if there is no credit or no segment now. After None, the consumer
    /// rings this slot's doorbell as soon as one comes back.
    pub fn try_open(&mut self) -> Option<OpenSegment> {
        let mut lease = self.try_lease();
        if lease.is_none() {
            self.ring.wait_for(WAITS_FOR_CREDIT);
            lease = self.try_lease();
        }
        let lease = lease?;
        self.ring.wait_no_more_for(WAITS_FOR_CREDIT);
        Some(OpenSegment { lease })
    }

    /// True when `try_open` would succeed; false has the same effect as its None.
    pub fn can_open(&mut self) -> bool {
        let mut can = self.credits() > 0 && self.account.can_lease();
        if !can {
            self.ring.wait_for(WAITS_FOR_CREDIT);
            can = self.credits() > 0 && self.account.can_lease();
        }
        if can {
            self.ring.wait_no_more_for(WAITS_FOR_CREDIT);
        }
        can
    }

    fn try_lease(&mut self) -> Option<Lease> {
        if self.credits() == 0 {
            return None;
        }
        self.account.try_lease()
    }

    /// Free credits. Reads the grant first and then takes back what the consumer returned. Hence the return ring
    /// contains nothing on which a visible grant is based, and can never overflow.
    fn credits(&mut self) -> u32 {
        let granted = self.ring.granted();
        while let Some(index) = self.ring.take_return() {
            if let Err(error) = self.account.give_back(index) {
                self.fault.get_or_insert(error);
            }
        }
        match self.credit.available(granted, self.account.open()) {
            Ok(unused) if self.fault.is_none() => unused - self.give_up_surplus(unused),
            Ok(_) => 0,
            Err(error) => {
                self.fault.get_or_insert(error);
                0
            }
        }
    }

    /// Relinquishes the credits that a grant lent in excess because it crossed our last announcement.
    fn give_up_surplus(&mut self, unused: u32) -> u32 {
        self.announce(self.credit.backlog(), unused)
    }

    /// Publishes backlog and surplus if either has changed; returns the surplus relinquished.
    fn announce(&mut self, segments: u32, unused: u32) -> u32 {
        let Some((announcement, surplus)) = self.credit.announce(segments, unused) else {
            return 0;
        };
        self.ring.announce(announcement.to_word());
        // A consumer that retains all the segments it received sleeps until rung, and only it can lend more credits.
        self.unrung.store(true, PlainOrdering::Relaxed);
        surplus
    }

    /// Ships the segment; the consumer sees it at the latest after `ring_peer`. Never fails: the segment holds a
    /// credit.
    pub fn publish(&mut self, segment: OpenSegment, header: DataHeader) {
        assert!(
            header.bytes as usize <= self.arena.segment_bytes(),
            "a header within its segment"
        );
        let DataHeader {
            bytes,
            rows,
            kind,
            flags,
        } = header;
        let index = segment.lease.publish();
        self.credit.use_one();
        self.ring.push_data(index, bytes, rows, kind, flags);
        self.unrung.store(true, PlainOrdering::Relaxed);
    }

    /// Returns the segment and its credit unused.
    pub fn abandon(&mut self, segment: OpenSegment) {
        drop(segment);
    }

    /// Sends a control element, without credit; false if all control slots wait for the consumer, which then rings this
    /// slot's doorbell as soon as one is free.
    pub fn try_control(&mut self, kind: u16, a: i64, b: i64, c: i64) -> bool {
        let sent = self.ring.try_push_control(kind, a, b, c);
        if sent {
            self.unrung.store(true, PlainOrdering::Relaxed);
        }
        sent
    }

    /// Tells the consumer how many segments wait for credit, so that it lends floating credits. 0 returns unused ones.
    pub fn announce_backlog(&mut self, segments: u32) {
        let unused = self.credits();
        self.announce(segments, unused);
    }

    pub fn segment_bytes(&self) -> usize {
        self.arena.segment_bytes()
    }

    /// Wakes the consumer if anything was sent since the last call; once per write or flush.
    pub fn ring_peer(&self) {
        if self.unrung.swap(false, PlainOrdering::Relaxed) {
            self.peer.ring();
        }
    }

    /// The consumer's protocol violation, if there was one; the channel opens no segment after it.
    pub fn check(&self) -> Result<(), TransportError> {
        self.fault.clone().map_or(Ok(()), Err)
    }
}

/// What a consumer receives.
pub enum Received {
    Data { header: DataHeader, segment: SegmentRef },
    Control { kind: u16, a: i64, b: i64, c: i64 },
}

/// A received segment, limited to its used bytes. Dropping the last clone, on any thread, returns segment and credit.
pub struct SegmentRef {
    shared: Arc<InputShared>,
    index: u32,
    bytes: u32,
}

impl SegmentRef {
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Deref for SegmentRef {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: index and length were checked on receipt, so the range is inside the mapping, which `shared` keeps
        // alive. The producer published the segment before we saw it (acquire of `tail`). It writes the segment again
        // only after its index was returned, which happens after this reference is dropped.
        unsafe { std::slice::from_raw_parts(self.shared.arena.segment_base(self.index), self.bytes as usize) }
    }
}

impl Drop for SegmentRef {
    fn drop(&mut self) {
        self.shared.release(self.index);
    }
}

/// Outlives the input channel while any of its segments is referenced.
struct InputShared {
    arena: Arc<Arena>,
    peer: Doorbell,
    pool: Arc<CreditPool>,
    /// Lock order: no other lock is taken while it is held.
    account: Mutex<InputAccount>,
}

struct InputAccount {
    returns: ReturnHalf,
    credit: ConsumerCredit,
    fault: Option<TransportError>,
}

impl InputAccount {
    fn note(&mut self, result: Result<(), TransportError>) {
        if let Err(error) = result {
            self.fault.get_or_insert(error);
        }
    }

    /// Grants as many credits as allowed; true if the producer waits for them.
    fn settle(&mut self, pool: &CreditPool) -> bool {
        let announcement = Announcement::from_word(self.returns.announcement());
        match self.credit.settle(announcement, pool) {
            Ok(granted) => self.returns.grant(granted),
            Err(error) => self.note(Err(error)),
        }
        must_ring(self.returns.memory(), WAITS_FOR_CREDIT)
    }
}

impl InputShared {
    fn release(&self, index: u32) {
        let ring = {
            let mut account = lock(&self.account);
            let pushed = account.returns.push_return(index);
            account.note(pushed);
            account.credit.release();
            account.settle(&self.pool)
        };
        if ring {
            self.peer.ring();
        }
    }
}

/// Consuming end. Used by one thread at a time; its segments may be dropped on any thread.
pub struct InputChannel {
    ring: ReceiveHalf,
    shared: Arc<InputShared>,
}

impl InputChannel {
    /// `ring_memory` is the consumer's own, `arena` and `peer` are the producer's. Grants the exclusive credits. Internal if
    /// the ring does not exist or is in use.
    pub fn new(
        ring_memory: Arc<RingMemory>,
        ring: u32,
        arena: Arc<Arena>,
        peer: Doorbell,
        exclusive: u32,
        pool: Arc<CreditPool>,
    ) -> Result<Self, TransportError> {
        let memory = ring_memory.ring(ring)?;
        let shape = memory.shape();
        check_exclusive(exclusive, shape.data_capacity)?;
        let receive = ReceiveHalf::attach(memory.clone())?;
        let account = InputAccount {
            returns: ReturnHalf::attach(memory),
            credit: ConsumerCredit::new(shape.start, exclusive, shape.data_capacity),
            fault: None,
        };
        let shared = Arc::new(InputShared {
            arena,
            peer,
            pool,
            account: Mutex::new(account),
        });
        let mut channel = Self { ring: receive, shared };
        channel.settle();
        Ok(channel)
    }

    /// The next element, or None. After a descriptor or counter has broken the protocol, every call returns Corrupt.
    pub fn try_next(&mut self) -> Result<Option<Received>, TransportError> {
        match self.ring.peek()? {
            None => Ok(None),
            Some(Descriptor::Control { kind, a, b, c }) => {
                self.ring.advance();
                if must_ring(self.ring.memory(), WAITS_FOR_CONTROL) {
                    self.shared.peer.ring();
                }
                Ok(Some(Received::Control { kind, a, b, c }))
            }
            Some(Descriptor::Data {
                segment,
                bytes,
                rows,
                kind,
                flags,
            }) => {
                self.check_segment(segment, bytes)?;
                self.receive()?;
                self.ring.advance();
                let segment = SegmentRef {
                    shared: self.shared.clone(),
                    index: segment,
                    bytes,
                };
                Ok(Some(Received::Data {
                    header: DataHeader {
                        bytes,
                        rows,
                        kind,
                        flags,
                    },
                    segment,
                }))
            }
        }
    }

    fn check_segment(&self, segment: u32, bytes: u32) -> Result<(), TransportError> {
        let arena = &self.shared.arena;
        if segment >= arena.segments() || bytes as usize > arena.segment_bytes() {
            return Err(TransportError::Corrupt(format!(
                "a descriptor names {bytes} bytes of segment {segment}; the arena has {} segments of {} bytes",
                arena.segments(),
                arena.segment_bytes()
            )));
        }
        Ok(())
    }

    fn receive(&self) -> Result<(), TransportError> {
        let mut account = lock(&self.shared.account);
        if let Some(fault) = &account.fault {
            return Err(fault.clone());
        }
        account.credit.receive()
    }

    /// True when `try_next` would return an element or an error.
    pub fn has_next(&self) -> bool {
        self.ring.has_next()
    }

    /// Segments received and still referenced.
    pub fn outstanding(&self) -> usize {
        lock(&self.shared.account).credit.in_hand() as usize
    }

    /// Segments that may be in flight now: exclusive plus lent floating ones. A consumer that retains this many stalls
    /// its producer.
    pub fn credit_limit(&self) -> usize {
        lock(&self.shared.account).credit.limit() as usize
    }

    /// Reads the producer's backlog and grants accordingly; called at each poll, cheap if nothing has changed.
    pub fn grant(&mut self) {
        let wanted = {
            let account = lock(&self.shared.account);
            let announcement = Announcement::from_word(account.returns.announcement());
            account.credit.wants_settling(announcement, &self.shared.pool)
        };
        if wanted {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let ring = lock(&self.shared.account).settle(&self.shared.pool);
        if ring {
            self.shared.peer.ring();
        }
    }
}

impl Drop for InputChannel {
    /// Returns unread segments and grants nothing further; segments handed out stay valid and are returned when
    /// dropped.
    fn drop(&mut self) {
        lock(&self.shared.account).credit.close(&self.shared.pool);
        while let Ok(Some(_unread)) = self.try_next() {}
    }
}

fn check_exclusive(exclusive: u32, data_capacity: u32) -> Result<(), TransportError> {
    if exclusive == 0 || exclusive > data_capacity {
        return Err(TransportError::Internal(format!(
            "a channel has 1 to {data_capacity} exclusive segments (the ring's data capacity), not {exclusive}"
        )));
    }
    Ok(())
}
