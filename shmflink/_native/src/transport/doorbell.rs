//! Doorbell: what a slot sleeps on. An eventcount in one shared futex word.
//!
//! ```text
//! slot of 64 bytes:   0 word u32 (bits 31..4: rings so far, bits 3..0: threads asleep or about to be) | 60 unused
//! ```
//! To lose no wake-up: `token = prepare()`, check again for work, then `wait(token)`. The count of rings and the count
//! of sleepers share one word, so they have a single order without fences. If a ring comes before the sleeper
//! registers, the sleeper sees another ring count and does not sleep. If it comes after, the ring sees the sleeper and
//! wakes it. Only the sleeper deregisters itself: a ringer killed halfway leaves nothing undone that the next ring
//! would not do, and a sleeper killed asleep only costs the next ringers a needless system call.

use super::sync::{monotonic_ns, FutexWord, Ordering, Park};

const RING: u32 = 16;
const SLEEPERS: u32 = RING - 1;

/// The shared part; see the module's diagram.
#[repr(C, align(64))]
#[derive(Default)]
pub struct DoorbellSlot {
    /// Release by the ringer: publishes everything it wrote before. Acquired by `prepare`, before the sleeper checks
    /// for work.
    futex: FutexWord,
}

#[cfg(not(loom))]
const _: () = assert!(std::mem::size_of::<DoorbellSlot>() == DOORBELL_BYTES);
pub const DOORBELL_BYTES: usize = 64;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    Rung,
    TimedOut,
    /// A signal arrived; call again with the same token to continue.
    Interrupted,
}

impl DoorbellSlot {
    /// Announces the intention to sleep: any ring from now on ends a wait with this token.
    pub fn prepare(&self) -> u32 {
        self.futex.word.load(Ordering::Acquire) / RING
    }

    /// Wakes the sleeper; if none sleeps, the next `wait` with an older token returns at once. Any thread, any process.
    pub fn ring(&self) {
        // Release: publishes everything written before to the woken thread. One locked add if no thread sleeps.
        let before = self.futex.word.fetch_add(RING, Ordering::AcqRel);
        if before & SLEEPERS != 0 {
            self.futex.unpark_all();
        }
    }

    fn has_rung(&self, token: u32) -> bool {
        self.futex.word.load(Ordering::Acquire) / RING != token
    }

    /// Spins for `spin_ns`, then sleeps until rung after `token`, or until `deadline_ns` of CLOCK_MONOTONIC.
    pub fn wait(&self, token: u32, deadline_ns: Option<u64>, spin_ns: u64) -> Wake {
        if self.has_rung(token) || (spin_ns > 0 && self.spin(token, deadline_ns, spin_ns)) {
            return Wake::Rung;
        }
        let Some(mut seen) = self.register() else {
            return Wake::Rung; // more sleepers than the word can count: the caller checks again instead
        };
        let wake = loop {
            if seen / RING != token {
                break Wake::Rung;
            }
            match self.futex.park(seen, deadline_ns) {
                Park::Woken => seen = self.futex.word.load(Ordering::Acquire),
                Park::TimedOut if self.has_rung(token) => break Wake::Rung,
                Park::Interrupted if self.has_rung(token) => break Wake::Rung,
                Park::TimedOut => break Wake::TimedOut,
                Park::Interrupted => break Wake::Interrupted,
            }
        };
        self.futex.word.fetch_sub(1, Ordering::Relaxed);
        wake
    }

    /// Counts this thread as a sleeper; returns the word at that moment, or None if the count is full.
    fn register(&self) -> Option<u32> {
        let not_full = |word: u32| (word & SLEEPERS != SLEEPERS).then(|| word.wrapping_add(1));
        let before = self
            .futex
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, not_full)
            .ok()?;
        Some(before.wrapping_add(1))
    }

    /// True if rung while spinning. Reads the clock at every 64th check: reading it costs as much as ten checks.
    fn spin(&self, token: u32, deadline_ns: Option<u64>, spin_ns: u64) -> bool {
        let until = monotonic_ns()
            .saturating_add(spin_ns)
            .min(deadline_ns.unwrap_or(u64::MAX));
        loop {
            for _ in 0..64 {
                if self.has_rung(token) {
                    return true;
                }
                std::hint::spin_loop();
            }
            if monotonic_ns() >= until {
                return false;
            }
        }
    }
}
