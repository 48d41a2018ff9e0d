//! The atomics, locks and parking that the protocol uses: the machine's own, or loom's under `--cfg loom`.
//!
//! Everything whose order matters goes through this file, so that the model-checked code is the shipped code. Under
//! loom the shared structures are on the heap (loom's atomics have no fixed size); layouts are asserted only without
//! loom.

#[cfg(loom)]
pub use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::{Mutex, MutexGuard};

#[cfg(not(loom))]
pub use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub use std::sync::{Mutex, MutexGuard};

/// Locks even after another holder panicked: every critical section of the transport leaves valid state at each step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Why a sleep on a futex word ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Park {
    /// Woken, or the word had already changed; the caller checks again in both cases.
    Woken,
    TimedOut,
    /// A signal arrived; the caller may have to run its handler.
    Interrupted,
}

/// A point in time of CLOCK_MONOTONIC, in nanoseconds.
#[cfg(not(loom))]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid out-pointer; CLOCK_MONOTONIC exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(loom)]
pub fn monotonic_ns() -> u64 {
    0
}

/// A 32-bit word on which threads of any process that maps it can sleep.
#[repr(C)]
pub struct FutexWord {
    pub word: AtomicU32,
    #[cfg(loom)]
    parking: loom::sync::Mutex<()>,
    #[cfg(loom)]
    woken: loom::sync::Condvar,
}

impl Default for FutexWord {
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(not(loom))]
impl FutexWord {
    pub fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
        }
    }

    /// Sleeps while the word equals `expected`, at most until `deadline_ns` of CLOCK_MONOTONIC.
    pub fn park(&self, expected: u32, deadline_ns: Option<u64>) -> Park {
        let deadline = deadline_ns.map(|ns| libc::timespec {
            tv_sec: (ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        });
        let deadline_pointer = deadline
            .as_ref()
            .map_or(std::ptr::null(), |at| at as *const libc::timespec);
        // SAFETY: the word is in memory that `self` borrows for the whole call; the deadline is null or points to a
        // live local. No FUTEX_PRIVATE_FLAG: the waker may be another process. WAIT_BITSET takes an absolute time, so
        // an interrupted sleep resumes without arithmetic.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAIT_BITSET,
                expected,
                deadline_pointer,
                std::ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
            )
        };
        if result == 0 {
            return Park::Woken;
        }
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::ETIMEDOUT) => Park::TimedOut,
            Some(libc::EINTR) => Park::Interrupted,
            _ => Park::Woken, // EAGAIN: the word had changed
        }
    }

    /// Wakes everything asleep on the word, in any process.
    pub fn unpark_all(&self) {
        // SAFETY: FUTEX_WAKE reads none of our memory; the address only identifies the queue.
        unsafe { libc::syscall(libc::SYS_futex, self.word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// The kernel's guarantee, modeled: for a waker, comparing the word and going to sleep are one step.
#[cfg(loom)]
impl FutexWord {
    pub fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            parking: loom::sync::Mutex::new(()),
            woken: loom::sync::Condvar::new(),
        }
    }

    pub fn park(&self, expected: u32, _deadline_ns: Option<u64>) -> Park {
        let guard = self.parking.lock().unwrap();
        if self.word.load(Ordering::SeqCst) == expected {
            drop(self.woken.wait(guard).unwrap());
        }
        Park::Woken
    }

    pub fn unpark_all(&self) {
        let _guard = self.parking.lock().unwrap();
        self.woken.notify_all();
    }
}
