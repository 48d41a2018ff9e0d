//! Growable anonymous memory that starts as zeros: the index and the rows of a table.
//!
//! Growing moves page tables, not bytes (`mremap`). From 2 MiB on, the memory is aligned to huge pages and requests
//! them: otherwise every row of a table of some hundred MB would miss the TLB.

use std::ptr;

use crate::error::TableError;

const PAGE_BYTES: usize = 4 << 10;
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Zeroed memory of a whole number of pages; no memory while empty.
pub struct Pages {
    address: *mut u8,
    bytes: usize,
}

// SAFETY: only this value owns the memory.
unsafe impl Send for Pages {}

impl Pages {
    pub const fn new() -> Self {
        Self {
            // Aligned and not null, because it also becomes the pointer of empty slices.
            address: ptr::dangling_mut::<u64>().cast(),
            bytes: 0,
        }
    }

    #[inline(always)]
    pub fn address(&self) -> *mut u8 {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows to at least `bytes`; new bytes read as zero. The address changes.
    pub fn grow(&mut self, bytes: usize) -> Result<(), TableError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let is_huge = bytes >= 2 * HUGE_PAGE_BYTES;
        let granule = if is_huge { HUGE_PAGE_BYTES } else { PAGE_BYTES };
        let bytes = bytes
            .checked_next_multiple_of(granule)
            .ok_or_else(|| TableError::Resource(format!("a table of {bytes} bytes")))?;
        let target = reserve(bytes, granule)?;
        if self.bytes > 0 {
            // SAFETY: we own the whole old range; the target was reserved for this and holds nothing.
            let moved = unsafe {
                libc::mremap(
                    self.address.cast(),
                    self.bytes,
                    bytes,
                    libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                    target.cast::<libc::c_void>(),
                )
            };
            if moved == libc::MAP_FAILED {
                let error = refused(bytes);
                unmap(target, bytes);
                return Err(error);
            }
        } else {
            map_over(target, bytes)?;
        }
        (self.address, self.bytes) = (target, bytes);
        if is_huge {
            // SAFETY: advice about our own range; without huge pages it is only slower.
            unsafe { libc::madvise(target.cast(), bytes, libc::MADV_HUGEPAGE) };
        }
        Ok(())
    }

    /// Resets to zeros and, if it held more than `keep` bytes, releases the memory.
    pub fn clear(&mut self, used: usize, keep: usize) {
        if self.bytes > keep {
            *self = Self::new();
        } else if self.bytes > 0 {
            // SAFETY: `used` bytes of our own range.
            unsafe { ptr::write_bytes(self.address, 0, used.min(self.bytes)) };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.bytes > 0 {
            unmap(self.address, self.bytes);
        }
    }
}

/// Reserves addresses for `bytes`, aligned to `granule`, without memory behind them.
fn reserve(bytes: usize, granule: usize) -> Result<*mut u8, TableError> {
    let slack = if granule > PAGE_BYTES { granule } else { 0 };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses; it holds nothing of ours.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes + slack, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(refused(bytes));
    }
    let start = start.cast::<u8>();
    let before = (start as usize).next_multiple_of(granule) - start as usize;
    let target = start.wrapping_add(before);
    unmap(start, before);
    unmap(target.wrapping_add(bytes), slack - before);
    Ok(target)
}

fn map_over(target: *mut u8, bytes: usize) -> Result<(), TableError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: we reserved the range, and it holds nothing.
    let mapped = unsafe { libc::mmap(target.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        let error = refused(bytes);
        unmap(target, bytes);
        return Err(error);
    }
    Ok(())
}

fn unmap(address: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: only the owner, which calls this, knows the range.
        unsafe { libc::munmap(address.cast(), bytes) };
    }
}

fn refused(bytes: usize) -> TableError {
    TableError::from_os(&format!("growing a table of groups to {bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn growing_keeps_what_was_written_and_adds_zeros() {
        let mut pages = Pages::new();
        pages.grow(100).expect("memory");
        let sizes = [10_000_usize, 1 << 20, 5 << 20, 64 << 20];
        // SAFETY: within the bytes that `grow` mapped.
        unsafe { pages.address().add(99).write(7) };
        for bytes in sizes {
            let before = pages.bytes();
            pages.grow(bytes).expect("memory");
            assert!(pages.bytes() >= bytes);
            // SAFETY: as above.
            unsafe {
                assert_eq!(pages.address().add(99).read(), 7);
                assert_eq!(pages.address().add(before).read(), 0);
                assert_eq!(pages.address().add(bytes - 1).read(), 0);
                pages.address().add(bytes - 1).write(1);
            }
        }
        assert_eq!(pages.address() as usize % (2 << 20), 0);
        pages.clear(100, 0);
        assert_eq!(pages.bytes(), 0);
    }
}
