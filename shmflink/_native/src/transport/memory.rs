//! Shared mappings: sealed memfds, and anonymous memory of the same shape for tests.
//!
//! Owner: `create` → fallocate everything → map → seal → pass the descriptor. Peer: `open` → check seals and size →
//! map. There is no name: the memory vanishes with its last mapping and descriptor, even after SIGKILL.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::available::available_bytes;
use super::error::TransportError;

const F_SEAL_FUTURE_WRITE: libc::c_int = 0x0010; // Linux 5.1; not in every libc crate

/// How peers may map it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Control memory: peers write their side of the rings.
    PeersWrite,
    /// Data memory: once the owner has mapped it, only read-only mappings can be made.
    PeersRead,
}

/// One shared mapping. The address range stays valid until this value is dropped.
pub struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    writable: bool,
    fd: Option<OwnedFd>,
}

// SAFETY: a `Mapping` is an address range and a descriptor; it only hands out raw pointers. Each use has its own
// justification (atomics in `ring`/`doorbell`, ownership of segments in `arena`).
unsafe impl Send for Mapping {}
// SAFETY: as above; no method mutates the mapping.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// A new sealed memfd of `bytes` zeroed bytes, with every page reserved. Resource if there is too little memory.
    pub fn create(name: &str, bytes: usize, access: Access) -> Result<Self, TransportError> {
        let fd = create_memfd(name)?;
        reserve(&fd, name, bytes)?;
        let base = map(Some(&fd), bytes, true, name)?;
        let mapping = Self {
            base,
            bytes,
            writable: true,
            fd: Some(fd),
        };
        mapping.seal(name, access)?;
        Ok(mapping)
    }

    /// Anonymous memory of the same shape, for one process.
    pub fn anonymous(bytes: usize) -> Result<Self, TransportError> {
        let base = map(None, bytes, true, "anonymous test memory")?;
        Ok(Self {
            base,
            bytes,
            writable: true,
            fd: None,
        })
    }

    /// Maps a received descriptor, which must be a sealed memfd. Closes the descriptor: the mapping does not need it.
    pub fn open(fd: OwnedFd, name: &str, access: Access) -> Result<Self, TransportError> {
        check_seals(&fd, name)?;
        let bytes = size_of_fd(&fd, name)?;
        let writable = access == Access::PeersWrite;
        let base = map(Some(&fd), bytes, writable, name)?;
        Ok(Self {
            base,
            bytes,
            writable,
            fd: None,
        })
    }

    fn seal(&self, name: &str, access: Access) -> Result<(), TransportError> {
        let fd = self
            .fd
            .as_ref()
            .expect("created mappings keep their descriptor")
            .as_raw_fd();
        if access == Access::PeersRead {
            // SAFETY: fcntl on a descriptor we own. EINVAL on kernels before 5.1: there, peers are read-only by
            // convention (`open` maps read-only), which is no worse than for the control memory.
            unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, F_SEAL_FUTURE_WRITE) };
        }
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: fcntl on a descriptor we own.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } != 0 {
            return Err(TransportError::from_os(&format!("cannot seal the {name}")));
        }
        Ok(())
    }

    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The descriptor to pass to peers; only the creator has one.
    pub fn fd(&self) -> Option<RawFd> {
        self.fd.as_ref().map(AsRawFd::as_raw_fd)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let start = self.base.as_ptr() as usize;
        mapped().retain(|&(base, _)| base != start);
        // SAFETY: exactly the range that `map` returned; every holder of a pointer into it also holds an `Arc` of the
        // structure that owns this mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

fn create_memfd(name: &str) -> Result<OwnedFd, TransportError> {
    let c_name = std::ffi::CString::new(name).map_err(|_| TransportError::Internal("name with a NUL".into()))?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    let raw = unsafe { libc::memfd_create(c_name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if raw < 0 {
        return Err(TransportError::from_os(&format!("cannot create the {name} (memfd)")));
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Reserved at once. The available memory is checked again between two chunks, because others reserve at the same time.
const CHUNK_BYTES: usize = 256 << 20;

/// Gives the file its size and all its pages now: a page missing later would be a SIGBUS in the middle of a job.
fn reserve(fd: &OwnedFd, name: &str, bytes: usize) -> Result<(), TransportError> {
    if bytes as u64 > available_bytes() {
        return Err(too_little_memory(name, bytes));
    }
    for start in (0..bytes).step_by(CHUNK_BYTES) {
        let chunk = CHUNK_BYTES.min(bytes - start);
        if start > 0 && chunk as u64 > available_bytes() {
            return Err(too_little_memory(name, bytes));
        }
        allocate(fd, start, chunk).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOSPC | libc::ENOMEM) => too_little_memory(name, bytes),
            Some(libc::EFBIG) => above_file_size_limit(name, bytes),
            _ => TransportError::Resource(format!("cannot reserve {bytes} bytes for the {name}: {error}")),
        })?;
    }
    Ok(())
}

fn allocate(fd: &OwnedFd, start: usize, bytes: usize) -> std::io::Result<()> {
    loop {
        // SAFETY: fallocate on a descriptor we own; no memory is passed.
        if unsafe { libc::fallocate(fd.as_raw_fd(), 0, start as libc::off_t, bytes as libc::off_t) } == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// To the kernel, shared memory is a file, so `ulimit -f` also applies to it.
fn above_file_size_limit(name: &str, bytes: usize) -> TransportError {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    TransportError::Resource(format!(
        "the {name} needs {bytes} bytes of shared memory, and the file size limit of the process ('ulimit -f', \
         LimitFSIZE= of a systemd unit) allows {}: raise it",
        limit.rlim_cur
    ))
}

fn too_little_memory(name: &str, bytes: usize) -> TransportError {
    TransportError::Resource(format!(
        "the {name} needs {bytes} bytes ({:.1} MiB) of shared memory and {:.1} MiB are available; lower the network \
         memory or the parallelism, or give the host (or its cgroup) more memory",
        bytes as f64 / 1_048_576.0,
        available_bytes() as f64 / 1_048_576.0
    ))
}

fn map(fd: Option<&OwnedFd>, bytes: usize, writable: bool, name: &str) -> Result<NonNull<u8>, TransportError> {
    let protection = if writable {
        libc::PROT_READ | libc::PROT_WRITE
    } else {
        libc::PROT_READ
    };
    // The owner's page table is filled now (the pages exist already); a peer's on use, since it maps many arenas.
    let populate = if writable { libc::MAP_POPULATE } else { 0 };
    let (raw_fd, kind) = match fd {
        Some(fd) => (fd.as_raw_fd(), libc::MAP_SHARED | populate),
        None => (-1, libc::MAP_SHARED | libc::MAP_ANONYMOUS),
    };
    // SAFETY: a new mapping at an address that the kernel chooses; no existing memory is affected.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, kind, raw_fd, 0) };
    if address == libc::MAP_FAILED {
        return Err(TransportError::from_os(&format!(
            "cannot map {bytes} bytes of the {name}"
        )));
    }
    mapped().push((address as usize, bytes));
    Ok(NonNull::new(address.cast()).expect("mmap never returns null without MAP_FIXED"))
}

/// (base, bytes) of all mappings of this process.
static MAPPED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

fn mapped() -> MutexGuard<'static, Vec<(usize, usize)>> {
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether one of the addresses is in a shared mapping, whose memory its owner may reuse.
pub fn is_any_shared(addresses: &[usize]) -> bool {
    let mapped = mapped();
    let is_shared = |address: usize| {
        mapped
            .iter()
            .any(|&(base, bytes)| (base..base + bytes).contains(&address))
    };
    addresses.iter().any(|&address| is_shared(address))
}

/// Refuses a descriptor that its owner could shrink while we use it: an access beyond its end would be a SIGBUS.
fn check_seals(fd: &OwnedFd, name: &str) -> Result<(), TransportError> {
    // SAFETY: fcntl on a descriptor we own.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    let needed = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    if seals < 0 || seals & needed != needed {
        return Err(TransportError::Corrupt(format!(
            "the descriptor received for the {name} is not a sealed memfd (seals {seals:#x})"
        )));
    }
    Ok(())
}

fn size_of_fd(fd: &OwnedFd, name: &str) -> Result<usize, TransportError> {
    // SAFETY: an all-zero stat is a valid value of this plain C structure.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `status` is a valid out-pointer for the descriptor we own.
    if unsafe { libc::fstat(fd.as_raw_fd(), &mut status) } != 0 {
        return Err(TransportError::from_os(&format!(
            "cannot examine the descriptor of the {name}"
        )));
    }
    if status.st_size <= 0 {
        return Err(TransportError::Corrupt(format!(
            "the descriptor received for the {name} is empty"
        )));
    }
    Ok(status.st_size as usize)
}

/// First bytes of every shared mapping; constant after creation, checked once when it is opened and never read again.
///
/// ```text
///  0 magic u64 | 8 abi u32 | 12 kind u32 | 16 epoch u64 | 24 bytes u64
/// 32 a u64     | 40 b u64  | 48 c u64    | 56 d u64          (meaning by kind)
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub magic: u64,
    pub abi: u32,
    pub kind: u32,
    pub epoch: u64,
    pub bytes: u64,
    pub fields: [u64; 4],
}

pub const HEADER_BYTES: usize = std::mem::size_of::<Header>();
const _: () = assert!(HEADER_BYTES == 64);

const MAGIC: u64 = u64::from_le_bytes(*b"shmflink");
const ABI_VERSION: u32 = 1;

pub const KIND_RING_MEMORY: u32 = 1;
pub const KIND_ARENA: u32 = 2;
pub const KIND_STATUS: u32 = 3;

impl Header {
    pub fn new(kind: u32, epoch: u64, bytes: usize, fields: [u64; 4]) -> Self {
        Self {
            magic: MAGIC,
            abi: ABI_VERSION,
            kind,
            epoch,
            bytes: bytes as u64,
            fields,
        }
    }

    pub fn write(&self, mapping: &Mapping) {
        assert!(mapping.is_writable() && mapping.bytes() >= HEADER_BYTES);
        // SAFETY: the mapping is page-aligned, writable and long enough, and no peer has its descriptor yet.
        unsafe { mapping.base().cast::<Header>().write(*self) };
    }

    /// Reads and checks the header of a received mapping.
    pub fn read(mapping: &Mapping, kind: u32, epoch: u64, name: &str) -> Result<Self, TransportError> {
        if mapping.bytes() < HEADER_BYTES {
            return Err(TransportError::Corrupt(format!(
                "the {name} has only {} bytes",
                mapping.bytes()
            )));
        }
        // SAFETY: page-aligned and long enough; every bit pattern is a valid Header, and it is copied before use.
        let header = unsafe { mapping.base().cast::<Header>().read_volatile() };
        let expected = Self::new(kind, epoch, mapping.bytes(), header.fields);
        if header != expected {
            return Err(TransportError::Corrupt(format!(
                "the {name} received is not the one expected: magic {:#x}, ABI {}, kind {}, epoch {}, {} bytes instead of \
                 magic {MAGIC:#x}, ABI {ABI_VERSION}, kind {kind}, epoch {epoch}, {} bytes",
                header.magic,
                header.abi,
                header.kind,
                header.epoch,
                header.bytes,
                mapping.bytes()
            )));
        }
        Ok(header)
    }
}
