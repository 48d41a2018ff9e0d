//! From hash to group: open addressing with linear probing.
//!
//! ```text
//! entry (8 bytes)   0 = free, else  upper half of the hash << 32 | group + 1
//! place             the uppermost bits of the hash, so of the entry
//! ```
//! Because the place is a prefix of the hash, entries lie in the order of their hashes: doubling reads the old index and
//! writes the new one from front to back, without a look at the groups.

use super::memory::Pages;
use crate::transport::error::TransportError;

/// Groups per entry at most: 5 / 8. A miss then looks at 4 entries on average, which lie in one cache line.
const LOAD: (usize, usize) = (5, 8);
const CAPACITY_BITS_MIN: u32 = 10;
/// A larger index than this is given back when the table is emptied.
const KEPT_BYTES: usize = 64 << 20;

pub struct Index {
    pages: Pages,
    bits: u32,
    groups: usize,
}

/// Where a search ended.
pub enum Found {
    /// An entry with this tag; its group's key is to be compared.
    Candidate(u32),
    /// A free entry; the key is in no group.
    Free,
}

/// A search that can go on behind a candidate that was another key.
pub struct Search {
    place: usize,
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

    /// Makes room for `more` groups, so that none of as many `claim`s has to grow it.
    pub fn reserve(&mut self, more: usize) -> Result<(), TransportError> {
        let needed = (self.groups + more) * LOAD.1 / LOAD.0 + 1;
        if self.bits > 0 && needed <= 1 << self.bits {
            return Ok(());
        }
        let bits = needed.next_power_of_two().trailing_zeros().max(CAPACITY_BITS_MIN);
        let mut larger = Self {
            pages: Pages::with_bytes(8 << bits)?,
            bits,
            groups: self.groups,
        };
        for place in 0..self.capacity() {
            let entry = self.entry(place);
            if entry != 0 {
                larger.put(entry);
            }
        }
        *self = larger;
        Ok(())
    }

    pub fn clear(&mut self) {
        self.pages.clear(usize::MAX, KEPT_BYTES);
        self.groups = 0;
        if self.pages.bytes() == 0 {
            self.bits = 0;
        }
    }

    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(self.pages.address().wrapping_add(self.place(hash) * 8));
    }

    #[inline(always)]
    pub fn search(&self, hash: u64) -> Search {
        Search {
            place: self.place(hash),
        }
    }

    /// The next candidate, or the free place at which the search ends. Never without a `reserve` before.
    #[inline(always)]
    pub fn next(&self, search: &mut Search, hash: u64) -> Found {
        let tag = (hash >> 32) as u32;
        loop {
            let entry = self.entry(search.place);
            if entry == 0 {
                return Found::Free;
            }
            if (entry >> 32) as u32 == tag {
                return Found::Candidate(entry as u32 - 1);
            }
            self.step(search);
        }
    }

    #[inline(always)]
    pub fn step(&self, search: &mut Search) {
        search.place = (search.place + 1) & (self.capacity() - 1);
    }

    /// Writes `group` to the free place at which `search` ended.
    #[inline(always)]
    pub fn claim(&mut self, search: &Search, hash: u64, group: u32) {
        debug_assert_eq!(self.entry(search.place), 0);
        self.write(search.place, hash >> 32 << 32 | (u64::from(group) + 1));
        self.groups += 1;
    }

    fn put(&mut self, entry: u64) {
        let mut search = self.search(entry);
        while self.entry(search.place) != 0 {
            self.step(&mut search);
        }
        self.write(search.place, entry);
    }

    #[inline(always)]
    fn capacity(&self) -> usize {
        if self.bits == 0 {
            0
        } else {
            1 << self.bits
        }
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        debug_assert!(self.bits > 0, "reserve comes first");
        (hash >> (64 - self.bits)) as usize
    }

    #[inline(always)]
    fn entry(&self, place: usize) -> u64 {
        debug_assert!(place < self.capacity());
        // SAFETY: places are below the capacity, which is what the pages hold.
        unsafe { self.pages.address().cast::<u64>().add(place).read() }
    }

    #[inline(always)]
    fn write(&mut self, place: usize, entry: u64) {
        debug_assert!(place < self.capacity());
        // SAFETY: as `entry`.
        unsafe { self.pages.address().cast::<u64>().add(place).write(entry) };
    }
}

/// Has the cache line of `address` fetched; any address will do.
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
    use super::{Found, Index};

    fn hash(key: u32) -> u64 {
        u64::from(key % 50).wrapping_mul(0x9e37_79b9_7f4a_7c15) // many keys of one hash
    }

    #[test]
    fn every_group_is_found_again_however_often_it_grew() {
        let mut index = Index::new();
        for key in 0..20_000 {
            index.reserve(1).expect("memory");
            let mut search = index.search(hash(key));
            while let Found::Candidate(_) = index.next(&mut search, hash(key)) {
                index.step(&mut search);
                if key > 2_000 {
                    break; // long chains of equal hashes are slow, and right
                }
            }
            if let Found::Free = index.next(&mut search, hash(key)) {
                index.claim(&search, hash(key), key);
            }
        }
        for key in 0..2_000 {
            let mut search = index.search(hash(key));
            loop {
                match index.next(&mut search, hash(key)) {
                    Found::Candidate(group) if group == key => break,
                    Found::Candidate(_) => index.step(&mut search),
                    Found::Free => panic!("group {key} is lost"),
                }
            }
        }
    }
}
