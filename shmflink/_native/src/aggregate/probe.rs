//! From rows to groups: some rows at a time, so that cache misses overlap.

use super::index::{prefetch, Found};
use super::keys::{KeyBatch, Run};
use super::table::Table;
use crate::exchange::error::ExchangeError;
use crate::transport::error::TransportError;

/// Rows whose keys, hashes, entries and groups are looked at together: what the first-level cache holds of them.
pub const RUN_ROWS: usize = 512;
/// From this size of index and rows on, their cache lines are asked for in advance.
const PREFETCH_BYTES: usize = 512 << 10;
const GROUPS_MAX: usize = u32::MAX as usize - 1;

impl Table {
    /// Fills `ids` and `addresses` with the groups of some rows, and makes those that are new.
    pub(super) fn find(&mut self, batch: &KeyBatch, start: usize, len: usize) -> Result<(), ExchangeError> {
        let mut run = std::mem::take(&mut self.run);
        self.keys.encode(batch, start, len, &mut run);
        let room = self.make_room(len);
        self.ids.resize(len, 0);
        self.addresses.resize(len, std::ptr::null_mut());
        if room.is_ok() {
            let is_large = self.index.bytes() + self.groups * self.stride() > PREFETCH_BYTES;
            match (self.keys.words, is_large) {
                (1, false) => self.find_run::<1, false>(batch, &run),
                (1, true) => self.find_run::<1, true>(batch, &run),
                (2, false) => self.find_run::<2, false>(batch, &run),
                (2, true) => self.find_run::<2, true>(batch, &run),
                (_, false) => self.find_run::<0, false>(batch, &run),
                (_, true) => self.find_run::<0, true>(batch, &run),
            }
        }
        self.run = run;
        room
    }

    pub(super) fn make_room(&mut self, groups: usize) -> Result<(), ExchangeError> {
        if self.groups + groups > GROUPS_MAX {
            return Err(TransportError::Resource(format!("more than {GROUPS_MAX} groups in one table")).into());
        }
        self.index.reserve(groups)?;
        let needed = (self.groups + groups) * self.stride();
        if needed > self.rows.bytes() {
            self.rows.grow(needed.next_power_of_two())?;
        }
        Ok(())
    }

    /// `WORDS`: of a key, 0 where that is known only at run time.
    fn find_run<const WORDS: usize, const IS_LARGE: bool>(&mut self, batch: &KeyBatch, run: &Run) {
        if IS_LARGE {
            run.hashes.iter().for_each(|hash| self.index.prefetch(*hash));
        }
        for row in 0..run.len {
            let hash = run.hashes[row];
            let mut search = self.index.search(hash);
            let id = match self.index.next(&mut search, hash) {
                Found::Candidate(id) => id,
                Found::Free => {
                    let id = self.add::<WORDS>(batch, run, row);
                    self.index.claim(&search, hash, id);
                    id
                }
            };
            let address = self.address(id);
            if IS_LARGE {
                prefetch(address);
                prefetch(address.wrapping_add(self.stride() - 8));
            }
            self.ids[row] = id;
            self.addresses[row] = address;
        }
        let is_plain = self.keys.is_plain();
        for row in 0..run.len {
            let is_same = self.has_words::<WORDS>(self.addresses[row], run, row)
                && (is_plain || self.keys.is_same(batch, run, row, self.ids[row] as usize));
            if !is_same {
                self.find_row::<WORDS>(batch, run, row);
            }
        }
    }

    /// For a row whose first candidate was another key with the same upper half of the hash.
    #[cold]
    fn find_row<const WORDS: usize>(&mut self, batch: &KeyBatch, run: &Run, row: usize) {
        let hash = run.hashes[row];
        let mut search = self.index.search(hash);
        let id = loop {
            match self.index.next(&mut search, hash) {
                Found::Candidate(id) => {
                    let is_same = self.has_words::<WORDS>(self.address(id), run, row)
                        && self.keys.is_same(batch, run, row, id as usize);
                    if is_same {
                        break id;
                    }
                    self.index.step(&mut search);
                }
                Found::Free => {
                    let id = self.add::<WORDS>(batch, run, row);
                    self.index.claim(&search, hash, id);
                    break id;
                }
            }
        };
        self.ids[row] = id;
        self.addresses[row] = self.address(id);
    }

    #[inline(always)]
    pub(super) fn address(&self, id: u32) -> *mut u8 {
        self.rows.address().wrapping_add(id as usize * self.stride())
    }

    #[inline(always)]
    pub(super) fn has_words<const WORDS: usize>(&self, address: *const u8, run: &Run, row: usize) -> bool {
        let words = if WORDS == 0 { self.keys.words } else { WORDS };
        let key = &run.words[row * words..(row + 1) * words];
        // SAFETY: the row of a group begins with the words of its key.
        let kept = unsafe { std::slice::from_raw_parts(address.cast::<u64>(), words) };
        kept == key
    }

    /// A new group for the key of this row.
    #[inline]
    fn add<const WORDS: usize>(&mut self, batch: &KeyBatch, run: &Run, row: usize) -> u32 {
        let id = self.groups as u32;
        let words = if WORDS == 0 { self.keys.words } else { WORDS };
        // SAFETY: `make_room` made the row.
        let kept = unsafe { std::slice::from_raw_parts_mut(self.address(id).cast::<u64>(), self.template.len()) };
        kept[..words].copy_from_slice(&run.words[row * words..(row + 1) * words]);
        kept[words..].copy_from_slice(&self.template[words..]);
        if !self.keys.is_plain() {
            self.keys.keep(batch, run, row, id as usize);
        }
        self.groups += 1;
        id
    }
}
