//! From rows to groups: some rows at a time, so that cache misses overlap.

use super::encode::{KeyBatch, Run};
use super::index::prefetch;
use super::table::Table;
use crate::exchange::error::ExchangeError;
use crate::transport::error::TransportError;

/// Rows whose keys, entries and groups are looked at together: what the first-level cache holds of them.
pub const RUN_ROWS: usize = 512;
/// From this size of index and rows on, their cache lines are asked for in advance.
const PREFETCH_BYTES: usize = 512 << 10;
const GROUPS_MAX: usize = u32::MAX as usize - 1;

impl Table {
    /// Fills `ids` and `addresses` with the groups of some rows, and makes those that are new.
    pub(super) fn find(&mut self, batch: &KeyBatch, start: usize, len: usize) -> Result<(), ExchangeError> {
        if self.keys.len() == 0 && self.groups == 1 {
            (self.ids, self.addresses) = (vec![0; len], vec![self.rows.address(); len]);
            return Ok(());
        }
        let mut run = std::mem::take(&mut self.run);
        self.keys.encode(batch, start, len, &mut run);
        let room = self.make_room(len);
        self.ids.resize(len, 0);
        self.addresses.resize(len, std::ptr::null_mut());
        if room.is_ok() {
            self.find_encoded(batch, &run);
        }
        self.run = run;
        room
    }

    /// As `find`, for keys that were encoded, where room was made.
    pub(super) fn find_encoded(&mut self, batch: &KeyBatch, run: &Run) {
        let is_large = self.index.bytes() + self.groups * self.stride() > PREFETCH_BYTES;
        match (self.keys.words, is_large) {
            (1, false) => self.find_run::<1, false>(batch, run),
            (1, true) => self.find_run::<1, true>(batch, run),
            (2, false) => self.find_run::<2, false>(batch, run),
            (2, true) => self.find_run::<2, true>(batch, run),
            (_, false) => self.find_run::<0, false>(batch, run),
            (_, true) => self.find_run::<0, true>(batch, run),
        }
    }

    pub(super) fn make_room(&mut self, groups: usize) -> Result<(), ExchangeError> {
        if self.groups + groups > GROUPS_MAX {
            return Err(TransportError::Resource(format!("more than {GROUPS_MAX} groups in one table")).into());
        }
        self.index.reserve(groups)?;
        let needed = (self.groups + groups) * self.stride();
        if needed > self.rows.bytes() {
            self.history.grow(&mut self.rows, needed.next_power_of_two())?;
        }
        Ok(())
    }

    /// `WORDS`: of a key, 0 where that is known only at run time.
    fn find_run<const WORDS: usize, const IS_LARGE: bool>(&mut self, batch: &KeyBatch, run: &Run) {
        // In locals, because the compiler must think that writing ids may change fields.
        let (entries, rows, stride) = (self.index.entries(), self.rows.address(), self.stride());
        let mut ids = std::mem::take(&mut self.ids);
        let mut addresses = std::mem::take(&mut self.addresses);
        let is_plain = self.keys.is_plain();
        let (ids_out, addresses_out) = (&mut ids[..run.len], &mut addresses[..run.len]);
        let mut hashes = [0; RUN_ROWS];
        if IS_LARGE {
            for (row, hash) in hashes[..run.len].iter_mut().enumerate() {
                *hash = run.hash::<WORDS>(row);
                entries.prefetch(*hash);
            }
        }
        for row in 0..run.len {
            let hash = if IS_LARGE { hashes[row] } else { run.hash::<WORDS>(row) };
            let mut place = entries.place(hash);
            let id = match entries.next(&mut place, hash) {
                Some(id) => id,
                None => self.add::<WORDS>(batch, run, row, place, hash),
            };
            let address = rows.wrapping_add(id as usize * stride);
            (ids_out[row], addresses_out[row]) = (id, address);
            if IS_LARGE {
                prefetch(address);
                prefetch(address.wrapping_add(stride.saturating_sub(8)));
            } else if !self.is_key_of::<WORDS>(batch, run, row, id, address, is_plain) {
                ids_out[row] = self.find_row::<WORDS>(batch, run, row);
                addresses_out[row] = self.address(ids_out[row]);
            }
        }
        for row in 0..if IS_LARGE { run.len } else { 0 } {
            if !self.is_key_of::<WORDS>(batch, run, row, ids_out[row], addresses_out[row], is_plain) {
                ids_out[row] = self.find_row::<WORDS>(batch, run, row);
                addresses_out[row] = self.address(ids_out[row]);
            }
        }
        (self.ids, self.addresses) = (ids, addresses);
    }

    #[inline(always)]
    fn is_key_of<const WORDS: usize>(
        &self,
        batch: &KeyBatch,
        run: &Run,
        row: usize,
        id: u32,
        address: *const u8,
        is_plain: bool,
    ) -> bool {
        self.has_words::<WORDS>(address, run, row) && (is_plain || self.keys.is_same(batch, run, row, id as usize))
    }

    /// For a row whose first candidate was another key with the same upper half of the hash.
    #[cold]
    #[inline(never)]
    fn find_row<const WORDS: usize>(&mut self, batch: &KeyBatch, run: &Run, row: usize) -> u32 {
        let (entries, hash) = (self.index.entries(), run.hash::<WORDS>(row));
        let mut place = entries.place(hash);
        while let Some(id) = entries.next(&mut place, hash) {
            if self.has_words::<WORDS>(self.address(id), run, row) && self.keys.is_same(batch, run, row, id as usize) {
                return id;
            }
            place = entries.after(place);
        }
        self.add::<WORDS>(batch, run, row, place, hash)
    }

    #[inline(always)]
    pub(super) fn address(&self, id: u32) -> *mut u8 {
        self.rows.address().wrapping_add(id as usize * self.stride())
    }

    #[inline(always)]
    pub(super) fn has_words<const WORDS: usize>(&self, address: *const u8, run: &Run, row: usize) -> bool {
        let words = if WORDS == 0 { self.keys.words } else { WORDS };
        debug_assert!((row + 1) * words <= run.words.len());
        // SAFETY: the row of a group begins with the words of its key; a run has as many for each of its rows.
        let is_same = |word: usize| unsafe {
            address.cast::<u64>().add(word).read() == *run.words.get_unchecked(row * words + word)
        };
        if WORDS == 2 {
            is_same(0) & is_same(1)
        } else {
            (0..words).all(is_same)
        }
    }

    /// A new group for the key of this row, entered at the free place where the search for it ended.
    #[inline(never)]
    fn add<const WORDS: usize>(&mut self, batch: &KeyBatch, run: &Run, row: usize, place: usize, hash: u64) -> u32 {
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
        self.index.claim(place, hash, id);
        id
    }
}
