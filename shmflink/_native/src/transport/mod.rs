//! Shared-memory transport: segments, rings, credits, doorbells. Knows nothing of Arrow; Python only in `python.rs`.
//!
//! ```text
//! python.rs       the classes of shmflink._core            channel.rs   both ends of a channel
//! status.rs       status page, heartbeat                   credit.rs    credit arithmetic, pure
//! process.rs      parent-death signal                      ring.rs      descriptors and returns
//! ring_words.rs   shared words of a ring                   doorbell.rs  eventcount on a futex word
//! ring_memory.rs  control memory of one attempt            memory.rs    sealed mappings, header
//! arena.rs        data memory of one attempt               sync.rs      atomics, or loom's
//! available.rs    memory the system could provide
//! ```

pub mod arena;
mod available;
pub mod channel;
pub mod credit;
pub mod doorbell;
pub mod error;
pub mod memory;
pub mod process;
pub mod python;
pub mod ring;
pub mod ring_memory;
pub mod ring_words;
pub mod status;
pub mod sync;

#[cfg(all(test, not(loom)))]
mod channel_tests;
#[cfg(all(test, not(loom)))]
mod credit_tests;
#[cfg(all(test, loom))]
mod loom_tests;

pub use python::register;
