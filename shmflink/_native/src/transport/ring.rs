//! One channel's shared words: descriptors producer → consumer, segment indices consumer → producer.
//!
//! ```text
//! RingControl, 192 bytes, one cache line per writer and frequency of writes
//!   0 line written by the producer:  tail u64 | announcement u64 | return_head u64 | unused
//!  64 line written by the consumer:  head u64 | granted u64 | return_tail u64 | unused
//! 128 line written by the producer, rarely: waiting u32 | unused
//! 192 entries: `entry_count` (power of two) x 32 bytes
//!     returns: `return_count` (power of two) x 4 bytes, padded to 64
//!
//! Entry, 32 bytes, four words
//!   0 tag u8 | unused u8 | kind u16 | flags u16 | stamp u16 (low bits of the position)
//!   8 data: segment u32, bytes u32     control: a i64
//!  16 data: rows u32, 0                control: b i64
//!  24 data: 0                          control: c i64
//! ```
//! Positions are 64-bit counters that never go back; a slot is position % count; all comparisons wrap. Entry words are
//! atomics, stored and loaded relaxed: `tail` orders them. A peer that breaks the protocol can make us read garbage,
//! which is refused; it cannot cause undefined behavior.
//!
//! loom model-checks the same code (`loom_tests.rs`), with the words on the heap.

use std::collections::VecDeque;

use super::error::TransportError;
use super::region::RegionRing;
use super::sync::{fence, AtomicU32, AtomicU64, Ordering};

#[repr(C, align(64))]
#[derive(Default)]
pub struct Line<T>(T);

/// See the module's diagram.
#[repr(C)]
#[derive(Default)]
pub struct RingControl {
    producer: Line<ProducerWords>,
    consumer: Line<ConsumerWords>,
    waiting: Line<AtomicU32>,
}

#[repr(C)]
#[derive(Default)]
struct ProducerWords {
    /// Release by the producer: all entries before it are written. Acquired by the consumer.
    tail: AtomicU64,
    /// Release by the producer: backlog and relinquished credits. Acquired by the consumer; publishes only itself.
    announcement: AtomicU64,
    /// Release by the producer: all return slots before it have been read. Acquired by the consumer, which checks for
    /// room.
    return_head: AtomicU64,
}

#[repr(C)]
#[derive(Default)]
struct ConsumerWords {
    /// Release by the consumer: all entries before it have been copied out. Acquired by the producer before it reuses a
    /// slot.
    head: AtomicU64,
    /// Release by the consumer: credits ever granted, and the returns pushed before the grant. Acquired by the
    /// producer.
    granted: AtomicU64,
    /// Release by the consumer: all return slots before it are written, and those segments are no longer read.
    return_tail: AtomicU64,
}

/// One descriptor slot.
#[repr(C, align(32))]
#[derive(Default)]
pub struct Entry {
    words: [AtomicU64; 4],
}

pub const CONTROL_BYTES: usize = 192;
pub const ENTRY_BYTES: usize = 32;
#[cfg(not(loom))]
const _: () = assert!(
    std::mem::size_of::<RingControl>() == CONTROL_BYTES
        && std::mem::align_of::<RingControl>() == 64
        && std::mem::size_of::<Entry>() == ENTRY_BYTES
);

/// Bits of `RingControl::waiting`: what the producer wants to be rung for.
pub const WAITS_FOR_CREDIT: u32 = 1;
pub const WAITS_FOR_CONTROL: u32 = 2;

const TAG_DATA: u64 = 0xD1;
const TAG_CONTROL: u64 = 0xC2;

/// Capacities of a ring; the same for all rings of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingShape {
    pub data_capacity: u32,
    pub control_capacity: u32,
    /// Initial value of every counter; not 0 only in tests of wrap-around.
    pub start: u64,
}

impl RingShape {
    pub fn entry_count(&self) -> usize {
        (self.data_capacity as usize + self.control_capacity as usize).next_power_of_two()
    }

    pub fn return_count(&self) -> usize {
        (self.data_capacity as usize).next_power_of_two()
    }

    /// Bytes of one ring in a region, a multiple of 64.
    pub fn stride(&self) -> usize {
        (CONTROL_BYTES + self.entry_count() * ENTRY_BYTES + self.return_count() * 4).next_multiple_of(64)
    }
}

impl RingControl {
    /// Sets all counters to the start position; call it before the memory is shared.
    pub fn initialise(&self, start: u64) {
        let counters = [
            &self.producer.0.tail,
            &self.producer.0.return_head,
            &self.consumer.0.head,
            &self.consumer.0.granted,
            &self.consumer.0.return_tail,
        ];
        for counter in counters {
            counter.store(start, Ordering::Relaxed);
        }
    }
}

fn slot_of(position: u64, count: usize) -> usize {
    (position & (count as u64 - 1)) as usize
}

/// The content of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    Data {
        segment: u32,
        bytes: u32,
        rows: u32,
        kind: u16,
        flags: u16,
    },
    Control {
        kind: u16,
        a: i64,
        b: i64,
        c: i64,
    },
}

impl Descriptor {
    fn encode(self, position: u64) -> [u64; 4] {
        let first = |tag: u64, kind: u16, flags: u16| {
            tag | u64::from(kind) << 16 | u64::from(flags) << 32 | (position & 0xFFFF) << 48
        };
        match self {
            Self::Data {
                segment,
                bytes,
                rows,
                kind,
                flags,
            } => [
                first(TAG_DATA, kind, flags),
                u64::from(segment) | u64::from(bytes) << 32,
                u64::from(rows),
                0,
            ],
            Self::Control { kind, a, b, c } => [first(TAG_CONTROL, kind, 0), a as u64, b as u64, c as u64],
        }
    }

    fn decode(words: [u64; 4], position: u64) -> Result<Self, TransportError> {
        let [first, one, two, three] = words;
        let (kind, flags) = ((first >> 16) as u16, (first >> 32) as u16);
        let in_place = first >> 48 == position & 0xFFFF && first & 0xFF00 == 0;
        match first & 0xFF {
            TAG_DATA if in_place && two >> 32 == 0 && three == 0 => Ok(Self::Data {
                segment: one as u32,
                bytes: (one >> 32) as u32,
                rows: two as u32,
                kind,
                flags,
            }),
            TAG_CONTROL if in_place && flags == 0 => Ok(Self::Control {
                kind,
                a: one as i64,
                b: two as i64,
                c: three as i64,
            }),
            _ => Err(TransportError::Corrupt(format!(
                "the descriptor at position {position} is neither data nor control: {first:#018x}"
            ))),
        }
    }
}

/// The producer's end. One thread at a time.
pub struct SendHalf {
    memory: RegionRing,
    tail: u64,
    return_head: u64,
    /// Positions of control entries that the consumer has not taken; at most `control_capacity`.
    controls: VecDeque<u64>,
    waiting: u32,
}

impl SendHalf {
    /// Internal if the ring already has a producer.
    pub fn attach(memory: RegionRing) -> Result<Self, TransportError> {
        let start = memory.shape().start;
        if memory.control().producer.0.tail.load(Ordering::Relaxed) != start {
            return Err(TransportError::Internal(
                "the ring has been written: a ring serves one producer once".into(),
            ));
        }
        let controls = VecDeque::with_capacity(memory.shape().control_capacity as usize);
        Ok(Self {
            memory,
            tail: start,
            return_head: start,
            controls,
            waiting: 0,
        })
    }

    /// The consumer's grant counter. Acquire: a `take_return` after it sees the returns pushed before the grant.
    pub fn granted(&self) -> u64 {
        self.memory.control().consumer.0.granted.load(Ordering::Acquire)
    }

    /// Publishes a data descriptor. Requires a credit, which guarantees room; caller holds it.
    pub fn push_data(&mut self, segment: u32, bytes: u32, rows: u32, kind: u16, flags: u16) {
        self.push(Descriptor::Data {
            segment,
            bytes,
            rows,
            kind,
            flags,
        });
    }

    /// Publishes a control element; false if all control slots wait for the consumer.
    pub fn try_push_control(&mut self, kind: u16, a: i64, b: i64, c: i64) -> bool {
        if !self.has_control_slot() {
            self.wait_for(WAITS_FOR_CONTROL);
            if !self.has_control_slot() {
                return false;
            }
        }
        self.wait_no_more_for(WAITS_FOR_CONTROL);
        self.controls.push_back(self.tail);
        self.push(Descriptor::Control { kind, a, b, c });
        true
    }

    fn has_control_slot(&mut self) -> bool {
        // Acquire: a slot is reused only after the consumer has copied its content.
        let head = self.memory.control().consumer.0.head.load(Ordering::Acquire);
        while self
            .controls
            .front()
            .is_some_and(|&position| (head.wrapping_sub(position) as i64) > 0)
        {
            self.controls.pop_front();
        }
        self.controls.len() < self.memory.shape().control_capacity as usize
    }

    fn push(&mut self, descriptor: Descriptor) {
        let entries = self.memory.entries();
        debug_assert!({
            let head = self.memory.control().consumer.0.head.load(Ordering::Relaxed);
            self.tail.wrapping_sub(head) < entries.len() as u64
        });
        let words = descriptor.encode(self.tail);
        for (slot, word) in entries[slot_of(self.tail, entries.len())].words.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        self.tail = self.tail.wrapping_add(1);
        // Release: publishes the entry, and the segment's bytes written before it, to the consumer.
        self.memory
            .control()
            .producer
            .0
            .tail
            .store(self.tail, Ordering::Release);
    }

    /// The next segment index that the consumer returned, unchecked.
    pub fn take_return(&mut self) -> Option<u32> {
        let control = self.memory.control();
        // Acquire: the consumer's last read of the segment happened before.
        let tail = control.consumer.0.return_tail.load(Ordering::Acquire);
        if tail == self.return_head {
            return None;
        }
        let returns = self.memory.returns();
        let index = returns[slot_of(self.return_head, returns.len())].load(Ordering::Relaxed);
        self.return_head = self.return_head.wrapping_add(1);
        control
            .producer
            .0
            .return_head
            .store(self.return_head, Ordering::Release);
        Some(index)
    }

    /// Publishes backlog and relinquished credits.
    pub fn announce(&self, word: u64) {
        self.memory
            .control()
            .producer
            .0
            .announcement
            .store(word, Ordering::Release);
    }

    /// Asks to be rung when a credit, a segment or a control slot comes back. The caller must check again afterwards:
    /// the fence here and the one in `must_ring` guarantee that at least one of the two sides sees the other.
    pub fn wait_for(&mut self, what: u32) {
        if self.waiting & what == 0 {
            self.waiting |= what;
            self.memory.control().waiting.0.store(self.waiting, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    pub fn wait_no_more_for(&mut self, what: u32) {
        if self.waiting & what != 0 {
            self.waiting &= !what;
            self.memory.control().waiting.0.store(self.waiting, Ordering::Relaxed);
        }
    }
}

/// True if the producer asked for it. The consumer calls it after publishing what the producer may wait for.
pub fn must_ring(memory: &RegionRing, what: u32) -> bool {
    fence(Ordering::SeqCst); // pairs with `wait_for`
    memory.control().waiting.0.load(Ordering::Relaxed) & what != 0
}

/// The consumer's end of the descriptors. One thread at a time.
pub struct ReceiveHalf {
    memory: RegionRing,
    head: u64,
}

impl ReceiveHalf {
    /// Internal if the ring already has a consumer.
    pub fn attach(memory: RegionRing) -> Result<Self, TransportError> {
        let start = memory.shape().start;
        let words = &memory.control().consumer.0;
        if words.head.load(Ordering::Relaxed) != start || words.granted.load(Ordering::Relaxed) != start {
            return Err(TransportError::Internal(
                "the ring has been read: a ring serves one consumer once".into(),
            ));
        }
        Ok(Self { memory, head: start })
    }

    pub fn memory(&self) -> &RegionRing {
        &self.memory
    }

    /// True when a descriptor waits.
    pub fn has_next(&self) -> bool {
        self.memory.control().producer.0.tail.load(Ordering::Acquire) != self.head
    }

    /// The next descriptor, decoded but not consumed.
    pub fn peek(&self) -> Result<Option<Descriptor>, TransportError> {
        let tail = self.memory.control().producer.0.tail.load(Ordering::Acquire);
        let entries = self.memory.entries();
        let filled = tail.wrapping_sub(self.head);
        if filled == 0 {
            return Ok(None);
        }
        if filled > entries.len() as u64 {
            return Err(TransportError::Corrupt(format!(
                "the ring says it holds {filled} descriptors and has room for {}",
                entries.len()
            )));
        }
        let mut words = [0; 4];
        for (word, slot) in words.iter_mut().zip(&entries[slot_of(self.head, entries.len())].words) {
            *word = slot.load(Ordering::Relaxed);
        }
        Descriptor::decode(words, self.head).map(Some)
    }

    /// Returns the slot that `peek` read to the producer.
    pub fn advance(&mut self) {
        self.head = self.head.wrapping_add(1);
        self.memory
            .control()
            .consumer
            .0
            .head
            .store(self.head, Ordering::Release);
    }
}

/// The consumer's end of returns and grants. Its owner must serialize access by a lock, because any thread may release.
pub struct ReturnHalf {
    memory: RegionRing,
    return_tail: u64,
}

impl ReturnHalf {
    pub fn attach(memory: RegionRing) -> Self {
        let start = memory.shape().start;
        Self {
            memory,
            return_tail: start,
        }
    }

    pub fn memory(&self) -> &RegionRing {
        &self.memory
    }

    /// The producer's last announcement.
    pub fn announcement(&self) -> u64 {
        self.memory.control().producer.0.announcement.load(Ordering::Acquire)
    }

    /// Returns a segment. There is room as long as the producer empties the returns before it uses a new credit.
    pub fn push_return(&mut self, segment: u32) -> Result<(), TransportError> {
        let control = self.memory.control();
        let returns = self.memory.returns();
        let filled = self
            .return_tail
            .wrapping_sub(control.producer.0.return_head.load(Ordering::Acquire));
        if filled >= returns.len() as u64 {
            return Err(TransportError::Corrupt(format!(
                "the return ring holds {filled} of {} segments: the producer does not take them",
                returns.len()
            )));
        }
        returns[slot_of(self.return_tail, returns.len())].store(segment, Ordering::Relaxed);
        self.return_tail = self.return_tail.wrapping_add(1);
        // Release: our reads of the segment happen before the producer writes to it again.
        control
            .consumer
            .0
            .return_tail
            .store(self.return_tail, Ordering::Release);
        Ok(())
    }

    /// Publishes the grant counter, after the returns on which it is based.
    pub fn grant(&self, granted: u64) {
        self.memory
            .control()
            .consumer
            .0
            .granted
            .store(granted, Ordering::Release);
    }
}
