//! Status page: counters that a process publishes and its supervisor reads without asking, and the process's heartbeat.
//!
//! ```text
//!  0 Header (memory.rs): a = words
//! 64 words x u64
//! ```
//! Words are independent statistics: relaxed atomics, each consistent in itself, with no order between them.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::TransportError;
use super::memory::{Access, Header, Mapping, HEADER_BYTES, KIND_STATUS};
use super::sync::monotonic_ns;

const WORDS_MAX: usize = 1 << 20;

pub struct StatusPage {
    mapping: Mapping,
    words: usize,
}

impl StatusPage {
    /// A new page of zeroes in a sealed memfd.
    pub fn create(words: usize) -> Result<Self, TransportError> {
        if words == 0 || words > WORDS_MAX {
            return Err(TransportError::Internal(format!(
                "a status page has 1 to {WORDS_MAX} words, not {words}"
            )));
        }
        let bytes = HEADER_BYTES + words * 8;
        let mapping = Mapping::create("shmflink status page", bytes, Access::PeersWrite)?;
        Header::new(KIND_STATUS, 0, bytes, [words as u64, 0, 0, 0]).write(&mapping);
        Ok(Self { mapping, words })
    }

    /// Maps a received page, for reading and writing.
    pub fn open(fd: OwnedFd) -> Result<Self, TransportError> {
        let mapping = Mapping::open(fd, "shmflink status page", Access::PeersWrite)?;
        let header = Header::read(&mapping, KIND_STATUS, 0, "status page")?;
        let words = header.fields[0] as usize;
        if words == 0 || words > WORDS_MAX || HEADER_BYTES + words * 8 != mapping.bytes() {
            return Err(TransportError::Corrupt(format!(
                "status page of {words} words in {} bytes",
                mapping.bytes()
            )));
        }
        Ok(Self { mapping, words })
    }

    pub fn words(&self) -> usize {
        self.words
    }

    /// The descriptor to pass to peers; None for opened pages.
    pub fn fd(&self) -> Option<RawFd> {
        self.mapping.fd()
    }

    fn cells(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has exactly header + words * 8 bytes and is aligned, and the cells are atomics.
        unsafe { std::slice::from_raw_parts(self.mapping.base().add(HEADER_BYTES).cast(), self.words) }
    }

    fn range(&self, offset: usize, count: usize) -> Result<&[AtomicU64], TransportError> {
        offset
            .checked_add(count)
            .and_then(|end| self.cells().get(offset..end))
            .ok_or_else(|| {
                TransportError::Internal(format!("words {offset} + {count} of a status page of {}", self.words))
            })
    }

    pub fn store(&self, offset: usize, values: &[u64]) -> Result<(), TransportError> {
        for (cell, &value) in self.range(offset, values.len())?.iter().zip(values) {
            cell.store(value, Ordering::Relaxed);
        }
        Ok(())
    }

    pub fn load(&self, offset: usize, count: usize) -> Result<Vec<u64>, TransportError> {
        Ok(self
            .range(offset, count)?
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed))
            .collect())
    }
}

/// A thread that stores CLOCK_MONOTONIC in a word of a page, independently of Python. Start it only after the last
/// fork.
pub struct Heartbeat {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Stores the first beat before it returns.
    pub fn start(page: Arc<StatusPage>, word: usize, interval: Duration) -> Result<Self, TransportError> {
        page.store(word, &[monotonic_ns()])?;
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = stop.clone();
        let thread = std::thread::Builder::new()
            .name("heartbeat".into())
            .stack_size(64 * 1024)
            .spawn(move || beat(&page, word, interval, &seen))
            .map_err(|error| TransportError::Resource(format!("cannot start the heartbeat thread: {error}")))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends the thread and waits for it. Idempotent.
    pub fn stop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // `beat` cannot panic: it stores to a word that was checked, and waits.
            let _ = thread.join();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop();
    }
}

fn beat(page: &StatusPage, word: usize, interval: Duration, stop: &(Mutex<bool>, Condvar)) {
    let mut stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*stopped {
        page.cells()[word].store(monotonic_ns(), Ordering::Relaxed);
        stopped = stop
            .1
            .wait_timeout(stopped, interval)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}
