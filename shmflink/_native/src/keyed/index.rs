//! From hash to group: open addressing with linear probing.
//!
//! ```text
//! entry (8 bytes)   0 = free, else  upper half of the hash << 32 | group
//! place             the highest bits of the hash, and so of the entry
//! ```
//! Because the place is a prefix of the hash, entries are in hash order: doubling goes through the index from back to
//! front and moves each entry to about twice its place, within the same memory and without accessing the groups.

use super::memory::Pages;
use crate::error::TableError;

/// At least this many entries per group: 8 / 5. A miss then reads 4 entries on average, which are in one cache line.
const ROOM: (usize, usize) = (8, 5);
/// While the index fits the cache. A search there costs mispredicted branches, so most should end at the first entry.
const ROOM_IN_CACHE: usize = 4;
const CACHED_ENTRIES: usize = 64 << 10;
/// Set in every hash, so that no entry has tag 0.
pub const HASH_BIT: u64 = 1 << 32;
const CAPACITY_BITS_MIN: u32 = 10;
/// A larger index is released when the table is emptied.
const KEPT_BYTES: usize = 64 << 20;

pub struct Index {
    pages: Pages,
    bits: u32,
    groups: usize,
}

/// The entries in memory, for a search that writes nothing. Valid until the index grows.
#[derive(Clone, Copy)]
pub struct Entries {
    entries: *mut u64,
    shift: u32,
    mask: usize,
}

impl Entries {
    #[inline(always)]
    pub fn prefetch(self, hash: u64) {
        prefetch(self.entries.wrapping_add(self.place(hash)).cast());
    }

    /// Where the search for this hash begins.
    #[inline(always)]
    pub fn place(self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// From `place` on, the next group with the tag of `hash`; or None, and the free place at which the search ends.
    #[inline(always)]
    pub fn next(self, place: &mut usize, hash: u64) -> Option<u32> {
        loop {
            let entry = self.entry(*place);
            if (entry ^ hash) >> 32 == 0 {
                return Some(entry as u32);
            }
            if entry == 0 {
                return None;
            }
            *place = self.after(*place);
        }
    }

    #[inline(always)]
    pub fn after(self, place: usize) -> usize {
        (place + 1) & self.mask
    }

    #[inline(always)]
    pub fn entry(self, place: usize) -> u64 {
        debug_assert!(place <= self.mask);
        // SAFETY: `place < capacity`, and the pages hold `capacity` entries.
        unsafe { self.entries.add(place).read() }
    }

    fn erase(self, place: usize) {
        debug_assert!(place <= self.mask);
        // SAFETY: as `entry`.
        unsafe { self.entries.add(place).write(0) };
    }

    #[inline(always)]
    fn write(self, place: usize, entry: u64) {
        debug_assert!(place <= self.mask && self.entry(place) == 0);
        // SAFETY: as in `entry`; the caller borrows the index mutably.
        unsafe { self.entries.add(place).write(entry) };
    }
}

impl Index {
    pub fn new() -> Self {
        Self {
            pages: Pages::new(),
            bits: 0,
            groups: 0,
        }
    }

    pub fn bytes(&self) -> usize {
        self.pages.bytes()
    }

    /// Makes room for `more` groups: the next `more` calls of `claim` do not grow the index.
    pub fn reserve(&mut self, more: usize) -> Result<(), TableError> {
        let groups = self.groups + more;
        let needed = match groups * ROOM_IN_CACHE {
            entries if entries <= CACHED_ENTRIES => entries,
            _ => groups * ROOM.0 / ROOM.1 + 1,
        };
        if self.bits > 0 && needed <= 1 << self.bits {
            return Ok(());
        }
        let bits = needed.next_power_of_two().trailing_zeros().max(CAPACITY_BITS_MIN);
        self.pages.grow(8 << bits)?;
        while self.bits > 0 && self.bits < bits {
            self.bits += 1;
            spread(self.entries());
        }
        self.bits = bits;
        Ok(())
    }

    pub fn clear(&mut self) {
        self.pages.clear(usize::MAX, KEPT_BYTES);
        self.groups = 0;
        if self.pages.bytes() == 0 {
            self.bits = 0;
        }
    }

    /// Makes an empty index a copy of another one.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), TableError> {
        debug_assert_eq!(self.groups, 0);
        let bytes = if other.bits == 0 { 0 } else { 8 << other.bits };
        self.pages.grow(bytes)?;
        // SAFETY: both hold at least this many bytes; the bytes after them are zero, as in an index that was never
        // larger.
        unsafe { std::ptr::copy_nonoverlapping(other.pages.address(), self.pages.address(), bytes) };
        (self.bits, self.groups) = (other.bits, other.groups);
        Ok(())
    }

    /// Must be called after `reserve`.
    #[inline(always)]
    pub fn entries(&self) -> Entries {
        debug_assert!(self.bits > 0, "reserve comes first");
        Entries {
            entries: self.pages.address().cast(),
            shift: 64 - self.bits,
            mask: (1 << self.bits) - 1,
        }
    }

    /// Writes `group` to the free place at which a search ended.
    #[inline(always)]
    pub fn claim(&mut self, place: usize, hash: u64, group: u32) {
        self.claim_whole(place, hash >> 32 << 32 | u64::from(group));
    }

    /// Writes a whole entry to a free place. Its highest bits must be those of the place where the search began.
    #[inline(always)]
    pub fn claim_whole(&mut self, place: usize, entry: u64) {
        self.entries().write(place, entry);
        self.groups += 1;
    }
}

/// Moves the entries of the lower half, which were the whole index, to their places in an index of twice the size.
///
/// From back to front, each moves to about twice its place, which is free by then. Entries for which it is not, at the
/// front and across the end, wait until the others are done.
fn spread(entries: Entries) {
    let mut late = Vec::new();
    for old in (0..=entries.mask >> 1).rev() {
        let entry = entries.entry(old);
        if entry == 0 {
            continue;
        }
        entries.erase(old);
        let home = entries.place(entry);
        let mut place = home;
        while place <= entries.mask && home >= old && home >> 1 <= old && entries.entry(place) != 0 {
            place += 1;
        }
        if place <= entries.mask && home >= old && home >> 1 <= old {
            entries.write(place, entry);
        } else {
            late.push(entry);
        }
    }
    for entry in late {
        let mut place = entries.place(entry);
        while entries.entry(place) != 0 {
            place = entries.after(place);
        }
        entries.write(place, entry);
    }
}

/// Prefetches the cache line of `address`; every address is allowed.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::{Index, HASH_BIT};

    fn hash(key: u32) -> u64 {
        u64::from(key % 5_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) | HASH_BIT // four keys of each hash
    }

    #[test]
    fn every_group_is_found_again_however_often_it_grew() {
        let mut index = Index::new();
        for key in 0..20_000 {
            index.reserve(1).expect("memory");
            let entries = index.entries();
            let mut place = entries.place(hash(key));
            while entries.next(&mut place, hash(key)).is_some() {
                place = entries.after(place);
            }
            index.claim(place, hash(key), key);
        }
        let entries = index.entries();
        for key in 0..20_000 {
            let mut place = entries.place(hash(key));
            while entries.next(&mut place, hash(key)).expect("a group that was claimed") != key {
                place = entries.after(place);
            }
        }
    }
}
