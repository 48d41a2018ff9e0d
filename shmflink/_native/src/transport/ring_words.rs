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

use super::sync::{AtomicU32, AtomicU64, Ordering};

#[repr(C, align(64))]
#[derive(Default)]
pub struct Line<T>(pub T);

/// See the module's diagram.
#[repr(C)]
#[derive(Default)]
pub struct RingControl {
    pub producer: Line<ProducerWords>,
    pub consumer: Line<ConsumerWords>,
    pub waiting: Line<AtomicU32>,
}

#[repr(C)]
#[derive(Default)]
pub struct ProducerWords {
    /// Release by the producer: all entries before it are written. Acquired by the consumer.
    pub tail: AtomicU64,
    /// Release by the producer: backlog and relinquished credits. Acquired by the consumer; publishes only itself.
    pub announcement: AtomicU64,
    /// Release by the producer: all return slots before it have been read. Acquired by the consumer, which checks for
    /// room.
    pub return_head: AtomicU64,
}

#[repr(C)]
#[derive(Default)]
pub struct ConsumerWords {
    /// Release by the consumer: all entries before it have been copied out. Acquired by the producer before it reuses a
    /// slot.
    pub head: AtomicU64,
    /// Release by the consumer: credits ever granted, and the returns pushed before the grant. Acquired by the
    /// producer.
    pub granted: AtomicU64,
    /// Release by the consumer: all return slots before it are written, and those segments are no longer read.
    pub return_tail: AtomicU64,
}

/// One descriptor slot.
#[repr(C, align(32))]
#[derive(Default)]
pub struct Entry {
    pub words: [AtomicU64; 4],
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

/// Capacities of a ring; the same for all rings of a ring memory.
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

    /// Bytes of one ring in a ring memory, a multiple of 64.
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
