//! The ends of one channel's ring: descriptors producer → consumer, segment indices consumer → producer. Its shared
//! words are in `ring_words.rs`.
//!
//! Positions are 64-bit counters that never go back; a slot is position % count; all comparisons wrap. A peer that
//! breaks the protocol can make us read garbage, which is refused; it cannot cause undefined behavior. Model-checked
//! under loom (`loom_tests.rs`).

use std::collections::VecDeque;

use super::error::TransportError;
use super::ring_memory::MappedRing;
use super::ring_words::WAITS_FOR_CONTROL;
use super::sync::{fence, Ordering};

const TAG_DATA: u64 = 0xD1;
const TAG_CONTROL: u64 = 0xC2;

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
    memory: MappedRing,
    tail: u64,
    return_head: u64,
    /// Positions of control entries that the consumer has not taken; at most `control_capacity`.
    controls: VecDeque<u64>,
    waiting: u32,
}

impl SendHalf {
    /// Internal if the ring already has a producer.
    pub fn attach(memory: MappedRing) -> Result<Self, TransportError> {
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
pub fn must_ring(memory: &MappedRing, what: u32) -> bool {
    fence(Ordering::SeqCst); // pairs with `wait_for`
    memory.control().waiting.0.load(Ordering::Relaxed) & what != 0
}

/// The consumer's end of the descriptors. One thread at a time.
pub struct ReceiveHalf {
    memory: MappedRing,
    head: u64,
}

impl ReceiveHalf {
    /// Internal if the ring already has a consumer.
    pub fn attach(memory: MappedRing) -> Result<Self, TransportError> {
        let start = memory.shape().start;
        let words = &memory.control().consumer.0;
        if words.head.load(Ordering::Relaxed) != start || words.granted.load(Ordering::Relaxed) != start {
            return Err(TransportError::Internal(
                "the ring has been read: a ring serves one consumer once".into(),
            ));
        }
        Ok(Self { memory, head: start })
    }

    pub fn memory(&self) -> &MappedRing {
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
    memory: MappedRing,
    return_tail: u64,
}

impl ReturnHalf {
    pub fn attach(memory: MappedRing) -> Self {
        let start = memory.shape().start;
        Self {
            memory,
            return_tail: start,
        }
    }

    pub fn memory(&self) -> &MappedRing {
        &self.memory
    }

    /// The producer's last announcement.
    pub fn announcement(&self) -> u64 {
        self.memory.control().producer.0.announcement.load(Ordering::Acquire)
    }

    /// Returns a segment. The return ring has room, because the producer empties it before it uses a new credit.
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
