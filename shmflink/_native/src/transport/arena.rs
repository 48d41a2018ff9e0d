//! Arena: the data segments that one TaskManager attempt writes. Peers map it read-only.
//!
//! ```text
//!    0 Header (memory.rs): a = segment bytes, b = segments
//! 4096 segments x segment bytes (a multiple of 64)
//! ```
//! Who may access a segment: free → nobody; leased → the producing thread, through `OpenSegment`; published → readers,
//! through `SegmentRef`, until the consumer has dropped its last reference and returned the index.
//!
//! A channel may always have `exclusive` segments out. It may have more only while the shared pool (segments that no
//! channel has reserved) lasts. So a slow consumer can never take the segments that another channel needs to make
//! progress.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32 as PlainAtomicU32, Ordering as PlainOrdering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::error::TransportError;
use super::memory::{Access, Header, Mapping, KIND_ARENA};

const DATA_OFFSET: usize = 4096;
const SEGMENT_ALIGNMENT: usize = 64;
const SEGMENT_BYTES_MAX: usize = 1 << 30;
const SEGMENTS_MAX: usize = 1 << 24;
const NOBODY: u32 = u32::MAX;

pub struct Arena {
    mapping: Mapping,
    segment_bytes: usize,
    segments: u32,
    epoch: u64,
    /// The owner's accounts; None in a peer's read-only view.
    books: Option<Mutex<Books>>,
}

/// Which account has which segment.
struct Books {
    free: Vec<u32>,
    /// The account that has a segment out, or NOBODY.
    holder: Vec<u32>,
    /// Segments that no account has reserved and that no account uses beyond its reservation.
    shared: u32,
    accounts: u32,
}

/// One channel's account with the arena.
pub struct Account {
    arena: Arc<Arena>,
    id: u32,
    exclusive: u32,
    /// Segments out: open or published. Written only while the lock of the books is held.
    out: PlainAtomicU32,
    /// Segments leased and not yet published.
    open: PlainAtomicU32,
}

impl Arena {
    /// A new arena in a sealed memfd. Resource if there is too little memory, Internal for an impossible shape.
    pub fn create(epoch: u64, segment_bytes: usize, segments: usize) -> Result<Self, TransportError> {
        let bytes = size_of_arena(segment_bytes, segments).map_err(TransportError::Internal)?;
        let mapping = Mapping::create("shmflink data memory", bytes, Access::PeersRead)?;
        Ok(Self::initialise(mapping, epoch, segment_bytes, segments))
    }

    /// The same in anonymous memory: both ends are in this process.
    pub fn anonymous(epoch: u64, segment_bytes: usize, segments: usize) -> Result<Self, TransportError> {
        let bytes = size_of_arena(segment_bytes, segments).map_err(TransportError::Internal)?;
        Ok(Self::initialise(
            Mapping::anonymous(bytes)?,
            epoch,
            segment_bytes,
            segments,
        ))
    }

    /// Maps a peer's arena for reading. Corrupt if the descriptor is not the sealed arena of that epoch.
    pub fn open(fd: OwnedFd, epoch: u64) -> Result<Self, TransportError> {
        let mapping = Mapping::open(fd, "shmflink data memory", Access::PeersRead)?;
        let header = Header::read(&mapping, KIND_ARENA, epoch, "data memory")?;
        let (segment_bytes, segments) = (header.fields[0] as usize, header.fields[1] as usize);
        let bytes = size_of_arena(segment_bytes, segments).map_err(TransportError::Corrupt)?;
        if bytes != mapping.bytes() {
            return Err(TransportError::Corrupt(format!(
                "data memory of {} bytes where {segments} segments of {segment_bytes} bytes need {bytes}",
                mapping.bytes()
            )));
        }
        Ok(Self {
            mapping,
            segment_bytes,
            segments: segments as u32,
            epoch,
            books: None,
        })
    }

    fn initialise(mapping: Mapping, epoch: u64, segment_bytes: usize, segments: usize) -> Self {
        let fields = [segment_bytes as u64, segments as u64, 0, 0];
        Header::new(KIND_ARENA, epoch, mapping.bytes(), fields).write(&mapping);
        let books = Books {
            // Takes the lowest index first and reuses the last returned one first: it is warm in the cache.
            free: (0..segments as u32).rev().collect(),
            holder: vec![NOBODY; segments],
            shared: segments as u32,
            accounts: 0,
        };
        Self {
            mapping,
            segment_bytes,
            segments: segments as u32,
            epoch,
            books: Some(Mutex::new(books)),
        }
    }

    pub fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    pub fn segments(&self) -> u32 {
        self.segments
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn bytes(&self) -> usize {
        self.mapping.bytes()
    }

    /// The descriptor to pass to peers; None for opened and anonymous arenas.
    pub fn fd(&self) -> Option<RawFd> {
        self.mapping.fd()
    }

    /// Segments that no account has out; 0 in a peer's view.
    pub fn free_segments(&self) -> usize {
        self.books.as_ref().map_or(0, |_| self.books().free.len())
    }

    /// Opens an account that may always have `exclusive` segments out. Resource if there are too few.
    pub fn account(self: &Arc<Self>, exclusive: u32) -> Result<Arc<Account>, TransportError> {
        if self.books.is_none() {
            return Err(TransportError::Internal("only its owner writes to an arena".into()));
        }
        let mut books = self.books();
        if books.shared < exclusive {
            return Err(TransportError::Resource(format!(
                "a channel needs {exclusive} exclusive segments of {} bytes and the arena has {} of {} unreserved; \
                 raise the network memory or lower the parallelism",
                self.segment_bytes, books.shared, self.segments
            )));
        }
        books.shared -= exclusive;
        let id = books.accounts;
        books.accounts += 1;
        let (out, open) = (PlainAtomicU32::new(0), PlainAtomicU32::new(0));
        Ok(Arc::new(Account {
            arena: self.clone(),
            id,
            exclusive,
            out,
            open,
        }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        let books = self.books.as_ref().expect("only the owner's arena has accounts");
        books.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// First byte of a segment. Requires `index < segments`; caller guarantees it.
    pub(super) fn segment_base(&self, index: u32) -> *mut u8 {
        assert!(index < self.segments);
        // SAFETY: inside the mapping, whose size was checked with the same formula.
        unsafe {
            self.mapping
                .base()
                .add(DATA_OFFSET + index as usize * self.segment_bytes)
        }
    }
}

fn size_of_arena(segment_bytes: usize, segments: usize) -> Result<usize, String> {
    if segment_bytes == 0 || !segment_bytes.is_multiple_of(SEGMENT_ALIGNMENT) || segment_bytes > SEGMENT_BYTES_MAX {
        return Err(format!(
            "segments have a multiple of {SEGMENT_ALIGNMENT} bytes up to {SEGMENT_BYTES_MAX}, not {segment_bytes}"
        ));
    }
    if segments == 0 || segments > SEGMENTS_MAX {
        return Err(format!("an arena has 1 to {SEGMENTS_MAX} segments, not {segments}"));
    }
    Ok(DATA_OFFSET + segment_bytes * segments)
}

impl Account {
    /// Takes a free segment if the account permits; None if there is none now.
    pub fn try_lease(self: &Arc<Self>) -> Option<Lease> {
        let mut books = self.arena.books();
        let out = self.out.load(PlainOrdering::Relaxed);
        if out >= self.exclusive {
            books.shared = books.shared.checked_sub(1)?;
        }
        let index = books
            .free
            .pop()
            .expect("reserved and shared segments never exceed the free ones");
        books.holder[index as usize] = self.id;
        self.out.store(out + 1, PlainOrdering::Relaxed);
        self.open.fetch_add(1, PlainOrdering::Relaxed);
        Some(Lease {
            account: self.clone(),
            index,
        })
    }

    /// True when `try_lease` would succeed.
    pub fn can_lease(&self) -> bool {
        self.out.load(PlainOrdering::Relaxed) < self.exclusive || self.arena.books().shared > 0
    }

    /// Leased segments that are not yet published.
    pub fn open(&self) -> u32 {
        self.open.load(PlainOrdering::Relaxed)
    }

    /// Takes a published segment back. Corrupt if this account does not have it out.
    pub fn give_back(&self, index: u32) -> Result<(), TransportError> {
        let mut books = self.arena.books();
        if books.holder.get(index as usize) != Some(&self.id) {
            return Err(TransportError::Corrupt(format!(
                "the consumer returned segment {index}, which this channel has not sent (the arena has {})",
                self.arena.segments
            )));
        }
        books.holder[index as usize] = NOBODY;
        books.free.push(index);
        let out = self.out.load(PlainOrdering::Relaxed) - 1;
        self.out.store(out, PlainOrdering::Relaxed);
        if out >= self.exclusive {
            books.shared += 1;
        }
        Ok(())
    }
}

impl Drop for Account {
    /// Frees the unused part of the reservation. Segments that the consumer still has stay out: it is unknown whether
    /// they are still read, and the arena lives only as long as its attempt.
    fn drop(&mut self) {
        let out = self.out.load(PlainOrdering::Relaxed);
        self.arena.books().shared += self.exclusive.saturating_sub(out);
    }
}

/// A segment taken from the free list; dropping the lease returns it.
pub struct Lease {
    account: Arc<Account>,
    index: u32,
}

impl Lease {
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The segment's bytes.
    pub fn bytes(&self) -> &[u8] {
        let arena = &self.account.arena;
        // SAFETY: the segment is inside the mapping, which the account keeps alive. It is neither free nor published,
        // so only the holder of this lease accesses it.
        unsafe { std::slice::from_raw_parts(arena.segment_base(self.index), arena.segment_bytes) }
    }

    /// The segment's bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let arena = &self.account.arena;
        // SAFETY: as above; the lease is borrowed exclusively, and the owner's mapping is writable.
        unsafe { std::slice::from_raw_parts_mut(arena.segment_base(self.index), arena.segment_bytes) }
    }

    /// Ends the lease without returning the segment, which is about to be published.
    pub fn publish(self) -> u32 {
        self.account.open.fetch_sub(1, PlainOrdering::Relaxed);
        let index = self.index;
        let mut published = std::mem::ManuallyDrop::new(self);
        // SAFETY: `published` is never dropped or used again, so the account reference is dropped exactly once.
        unsafe { std::ptr::drop_in_place(&mut published.account) };
        index
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.account.open.fetch_sub(1, PlainOrdering::Relaxed);
        let returned = self.account.give_back(self.index);
        debug_assert!(returned.is_ok(), "a leased segment belongs to its account");
    }
}
