//! The rows of a table as they were at one moment, while the table is written to.
//!
//! ```text
//! live     |chunk|chunk|chunk|chunk|     kernels write here; a chunk is copied before the first write to it
//! shadow   |copy |     |copy |     |     the reader of the shadow, another thread, copies the others
//! ```
//! Freezing costs an empty mapping and a flag per chunk. A chunk that has not been copied is never written to, so both
//! threads may read it. Whether a chunk has been copied is checked under a lock, which the table takes once per some
//! hundred rows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::marks::Marks;
use super::memory::Pages;
use crate::error::TableError;

/// The most bytes of a chunk: what a write to one row may have to copy.
const CHUNK_BYTES: usize = 4 << 10;
/// Chunks that may be copied while the table waits.
const CHUNKS_AT_ONCE: usize = 64;

pub struct Shadow {
    copying: Mutex<Copying>,
    groups: usize,
    stride: usize,
    /// Rows per chunk, as a power of two.
    shift: u32,
}

struct Copying {
    live: *const u8,
    rows: Pages,
    is_copied: Vec<bool>,
    left: usize,
    /// All chunks before this one have been copied.
    next: usize,
}

// SAFETY: `live` is read only under the lock, and points to the table's rows until the last chunk has been copied.
unsafe impl Send for Copying {}

impl Shadow {
    /// A shadow of the first `groups` rows at `live`.
    pub fn new(live: *const u8, groups: usize, stride: usize) -> Result<Self, TableError> {
        let shift = (CHUNK_BYTES / stride.max(1)).max(1).ilog2();
        let chunks = groups.div_ceil(1 << shift);
        let mut rows = Pages::new();
        rows.grow(groups * stride)?;
        let copying = Copying {
            live,
            rows,
            is_copied: vec![false; chunks],
            left: chunks,
            next: 0,
        };
        Ok(Self {
            copying: Mutex::new(copying),
            groups,
            stride,
            shift,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Copying> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self, copying: &mut Copying, chunk: usize) {
        if std::mem::replace(&mut copying.is_copied[chunk], true) {
            return;
        }
        let start = (chunk << self.shift) * self.stride;
        let end = ((chunk + 1) << self.shift).min(self.groups) * self.stride;
        // SAFETY: `live` has all rows of these groups, the copy has room for them, and no thread writes to a chunk that
        // has not been copied.
        unsafe {
            std::ptr::copy_nonoverlapping(copying.live.add(start), copying.rows.address().add(start), end - start);
        }
        copying.left -= 1;
    }

    /// Must be called before writes to the rows of `groups`. True if nothing is left to be copied.
    fn keep(&self, groups: &[u32]) -> bool {
        let mut copying = self.locked();
        for group in groups.iter().map(|group| *group as usize) {
            if group < self.groups {
                self.copy(&mut copying, group >> self.shift);
            }
        }
        copying.left == 0
    }

    fn keep_all(&self) {
        let mut copying = self.locked();
        (0..copying.is_copied.len()).for_each(|chunk| self.copy(&mut copying, chunk));
    }

    /// The rows, all copied; makes the table wait for a few chunks at most.
    pub fn rows(&self) -> *const u8 {
        loop {
            let mut copying = self.locked();
            if copying.left == 0 {
                return copying.rows.address();
            }
            let end = (copying.next + CHUNKS_AT_ONCE).min(copying.is_copied.len());
            (copying.next..end).for_each(|chunk| self.copy(&mut copying, chunk));
            copying.next = end;
            drop(copying);
            std::thread::yield_now();
        }
    }
}

/// What a table remembers of its past: incomplete shadows, and which groups have changed.
#[derive(Default)]
pub struct History {
    shadows: Vec<Arc<Shadow>>,
    /// Groups that changed since a checkpoint; None if they are not tracked.
    pub marks: Option<Marks>,
}

impl History {
    /// Must be called before kernels write to the rows of these groups, in a table of `groups_now`.
    #[inline]
    pub fn touch(&mut self, groups: &[u32], groups_now: usize) {
        if let Some(marks) = &mut self.marks {
            marks.mark(groups, groups_now);
        }
        if !self.shadows.is_empty() {
            self.keep(groups);
        }
    }

    #[cold]
    fn keep(&mut self, groups: &[u32]) {
        self.shadows
            .retain(|shadow| Arc::strong_count(shadow) > 1 && !shadow.keep(groups));
    }

    pub fn shadow(&mut self, rows: &Pages, groups: usize, stride: usize) -> Result<Arc<Shadow>, TableError> {
        let shadow = Arc::new(Shadow::new(rows.address(), groups, stride)?);
        self.shadows.push(shadow.clone());
        Ok(shadow)
    }

    /// Moves the rows to a larger area.
    pub fn grow(&mut self, rows: &mut Pages, bytes: usize) -> Result<(), TableError> {
        let mut shadows: Vec<_> = self.shadows.iter().map(|shadow| shadow.locked()).collect();
        let grown = rows.grow(bytes);
        shadows.iter_mut().for_each(|copying| copying.live = rows.address());
        grown
    }

    /// Must be called before all rows are dropped.
    pub fn end(&mut self) {
        for shadow in self.shadows.drain(..).filter(|shadow| Arc::strong_count(shadow) > 1) {
            shadow.keep_all();
        }
        self.marks = None;
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::{History, Pages};

    const STRIDE: usize = 24;

    fn write(rows: &Pages, group: usize, value: u64) {
        // SAFETY: tests write to groups that they have.
        unsafe { rows.address().add(group * STRIDE).cast::<[u64; 3]>().write([value; 3]) };
    }

    fn read(rows: *const u8, group: usize) -> [u64; 3] {
        // SAFETY: as `write`.
        unsafe { rows.add(group * STRIDE).cast::<[u64; 3]>().read() }
    }

    #[test]
    fn a_shadow_shows_what_was_while_rows_change_move_and_go() {
        let (mut rows, mut history) = (Pages::new(), History::default());
        rows.grow(1000 * STRIDE).expect("memory");
        (0..1000).for_each(|group| write(&rows, group, group as u64));
        let early = history.shadow(&rows, 900, STRIDE).expect("memory");
        for group in [0, 5, 899, 950, 5] {
            history.touch(&[group], 1000);
            write(&rows, group as usize, 7_000);
        }
        let late = history.shadow(&rows, 1000, STRIDE).expect("memory");
        history.grow(&mut rows, 9_000_000).expect("memory");
        history.touch(&[5, 500], 1000);
        write(&rows, 5, 8_000);
        write(&rows, 500, 8_000);
        history.end();
        (0..1000).for_each(|group| write(&rows, group, 9_000));
        for group in 0..900 {
            assert_eq!(read(early.rows(), group), [group as u64; 3]);
        }
        for group in 0..1000 {
            let changed = [0, 5, 899, 950].contains(&group);
            assert_eq!(
                read(late.rows(), group),
                [if changed { 7_000 } else { group as u64 }; 3]
            );
        }
    }

    #[test]
    fn another_thread_reads_while_rows_change() {
        let (mut rows, mut history) = (Pages::new(), History::default());
        let groups = 200_000;
        rows.grow(groups * STRIDE).expect("memory");
        for round in 0..8_u64 {
            (0..groups).for_each(|group| write(&rows, group, group as u64 * 8 + round));
            let shadow = history.shadow(&rows, groups, STRIDE).expect("memory");
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let frozen = shadow.rows();
                    (0..groups).all(|group| read(frozen, group) == [group as u64 * 8 + round; 3])
                });
                for group in (0..groups).rev().step_by(3) {
                    history.touch(&[group as u32], groups);
                    write(&rows, group, u64::MAX);
                }
                assert!(reader.join().expect("no panic"));
            });
        }
    }

    #[test]
    fn shadows_that_nobody_reads_cost_nothing() {
        let (mut rows, mut history) = (Pages::new(), History::default());
        rows.grow(100 * STRIDE).expect("memory");
        drop(history.shadow(&rows, 100, STRIDE).expect("memory"));
        history.touch(&[1], 100);
        assert!(history.shadows.is_empty());
    }
}
