//! The rows of a table by key: maps rows of a batch to groups, some rows at a time, so that cache misses overlap.
//!
//! ```text
//! a row of the table    key words | where long keys are | words of the table's user
//! ```

use arrow_array::ArrayRef;

use super::encode::{KeyBatch, Run};
use super::index::{prefetch, Index};
use super::keys::Keys;
use super::memory::Pages;
use super::shadow::History;
use crate::error::TableError;

/// Rows whose keys, entries and groups are processed together: the first-level cache holds two lines of each, and the
/// memory has fewer requests in flight.
pub const RUN_ROWS: usize = 128;
/// From this size of index and rows on, their cache lines are prefetched.
const PREFETCH_BYTES: usize = 512 << 10;
const GROUPS_MAX: usize = u32::MAX as usize - 1;
/// Represents a key without a group.
pub const NO_GROUP: u32 = u32::MAX;

/// Groups, each with a row of words that begins with the words of its key.
pub struct KeyedRows {
    pub keys: Keys,
    pub index: Index,
    /// The index is one of `key_set.rs`; whether its only key that has no entry is in it.
    pub(super) is_set: bool,
    pub(super) has_unmixed: bool,
    /// Must drop before `rows` (fields drop in declaration order): a reader of a shadow may still copy chunks of them.
    pub history: History,
    pub rows: Pages,
    /// A new row.
    pub template: Vec<u64>,
    pub groups: usize,
    pub run: Run,
    /// The groups that `find` found, and the addresses of their rows.
    pub ids: Vec<u32>,
    pub addresses: Vec<*mut u8>,
}

// SAFETY: the addresses point into `rows`, and are used only while a call fills them.
unsafe impl Send for KeyedRows {}

impl KeyedRows {
    /// No groups yet. The table's user must complete `template` before the first group is created.
    pub fn new(keys: Keys) -> Self {
        let template = vec![0; keys.row_words()];
        Self::of(keys, Pages::new(), template, 0)
    }

    /// The same groups with other keys and rows, which are no longer looked up or modified.
    pub fn with(&self, keys: Keys, rows: Pages) -> Self {
        Self::of(keys, rows, self.template.clone(), self.groups)
    }

    fn of(keys: Keys, rows: Pages, template: Vec<u64>, groups: usize) -> Self {
        Self {
            keys,
            index: Index::new(),
            is_set: false,
            has_unmixed: false,
            history: History::default(),
            rows,
            template,
            groups,
            run: Run::default(),
            ids: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// Memory of all groups: rows, index and keys.
    pub fn bytes(&self) -> usize {
        self.groups * self.stride() + self.index.bytes() + self.keys.bytes()
    }

    /// Memory available for groups, used or not.
    pub fn capacity_bytes(&self) -> usize {
        self.rows.bytes() + self.index.bytes()
    }

    /// Drops all groups; keeps this many bytes of rows.
    pub fn clear(&mut self, kept_bytes: usize) {
        self.history.end();
        self.rows.clear(0, kept_bytes); // a new group writes its whole row
        self.index.clear();
        (self.is_set, self.has_unmixed) = (false, false);
        self.keys.clear();
        self.groups = 0;
    }

    /// Makes empty rows a copy of others with the same template. Requires that their keys consist of their words only.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), TableError> {
        let bytes = other.groups * other.stride();
        if bytes > self.rows.bytes() {
            self.history.grow(&mut self.rows, bytes.next_power_of_two())?;
        }
        // SAFETY: both row areas hold at least this many bytes.
        unsafe { std::ptr::copy_nonoverlapping(other.rows.address(), self.rows.address(), bytes) };
        self.index.copy_from(&other.index)?;
        (self.is_set, self.has_unmixed) = (other.is_set, other.has_unmixed);
        self.groups = other.groups;
        if let Some(marks) = &mut self.history.marks {
            marks.mark_range(0..self.groups);
        }
        Ok(())
    }

    /// The same groups; only their keys may be read.
    pub fn keys_alone(&self) -> Self {
        let mut rows = Pages::new();
        let bytes = self.groups * self.stride();
        rows.grow(bytes).expect("memory for a copy of the keys");
        // SAFETY: both row areas hold at least this many bytes.
        unsafe { std::ptr::copy_nonoverlapping(self.rows.address(), rows.address(), bytes) };
        self.with(self.keys.frozen(), rows)
    }

    #[inline(always)]
    pub fn stride(&self) -> usize {
        self.template.len() * 8
    }

    /// Creates groups without keys, for a table that has no key columns and is used by number only. Returns the first
    /// number.
    pub fn add_groups(&mut self, count: usize) -> Result<usize, TableError> {
        debug_assert_eq!(self.keys.len(), 0);
        let (first, stride) = (self.groups, self.stride());
        let needed = (first + count) * stride;
        if needed > self.rows.bytes() {
            self.history.grow(&mut self.rows, needed.next_power_of_two())?;
        }
        for group in first..first + count {
            let row = self.rows.address().wrapping_add(group * stride).cast::<u64>();
            // SAFETY: the rows were grown to hold these groups.
            unsafe { std::ptr::copy_nonoverlapping(self.template.as_ptr(), row, self.template.len()) };
        }
        self.groups += count;
        Ok(first)
    }

    /// The group of each key; creates missing groups.
    pub fn groups_of_keys(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, TableError> {
        let batch = self.key_batch(keys)?;
        let mut all = Vec::with_capacity(rows);
        for start in (0..rows).step_by(RUN_ROWS) {
            self.find(&batch, start, RUN_ROWS.min(rows - start))?;
            all.extend_from_slice(&self.ids);
        }
        Ok(all)
    }

    /// The groups of those keys that have one.
    pub fn lookup(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, TableError> {
        let mut found = Vec::new();
        if self.groups == 0 {
            return Ok(found);
        }
        self.number_groups()?;
        let batch = self.key_batch(keys)?;
        let mut run = Run::default();
        for start in (0..rows).step_by(RUN_ROWS) {
            // Nulls and long keys without a group must not change how this table compares its own keys.
            self.keys
                .encode_only(&batch, start, RUN_ROWS.min(rows - start), &mut run);
            found.extend((0..run.len).filter_map(|row| self.lookup_row(&batch, &run, row)));
        }
        Ok(found)
    }

    /// The group of each key, NO_GROUP for a key without one.
    pub fn existing(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, TableError> {
        if self.groups == 0 {
            return Ok(vec![NO_GROUP; rows]);
        }
        let batch = self.key_batch(keys)?;
        debug_assert!(!self.is_set, "a table that is searched without being changed");
        let is_large = self.index.bytes() + self.groups * self.stride() > PREFETCH_BYTES;
        let (mut found, mut run) = (Vec::with_capacity(rows), Run::default());
        for start in (0..rows).step_by(RUN_ROWS) {
            self.keys
                .encode_only(&batch, start, RUN_ROWS.min(rows - start), &mut run);
            match (self.keys.words, is_large) {
                (1, false) => self.existing_run::<1, false>(&batch, &run, &mut found),
                (1, true) => self.existing_run::<1, true>(&batch, &run, &mut found),
                (2, false) => self.existing_run::<2, false>(&batch, &run, &mut found),
                (2, true) => self.existing_run::<2, true>(&batch, &run, &mut found),
                (3, false) => self.existing_run::<3, false>(&batch, &run, &mut found),
                (3, true) => self.existing_run::<3, true>(&batch, &run, &mut found),
                (_, false) => self.existing_run::<0, false>(&batch, &run, &mut found),
                (_, true) => self.existing_run::<0, true>(&batch, &run, &mut found),
            }
        }
        Ok(found)
    }

    /// Like `find_run`, without new groups.
    fn existing_run<const WORDS: usize, const IS_LARGE: bool>(
        &self,
        batch: &KeyBatch,
        run: &Run,
        found: &mut Vec<u32>,
    ) {
        let entries = self.index.entries();
        let is_plain = self.keys.is_plain() && !run.has_nulls && !run.has_long;
        let first = found.len();
        let mut hashes = [0; RUN_ROWS];
        for (row, hash) in hashes[..run.len].iter_mut().enumerate() {
            *hash = run.hash::<WORDS>(row);
            if IS_LARGE {
                entries.prefetch(*hash);
            }
        }
        for hash in &hashes[..run.len] {
            let mut place = entries.place(*hash);
            let id = entries.next(&mut place, *hash).unwrap_or(NO_GROUP);
            if IS_LARGE && id != NO_GROUP {
                prefetch(self.address(id));
            }
            found.push(id);
        }
        for row in 0..run.len {
            let id = found[first + row];
            if id != NO_GROUP && !self.is_key_of::<WORDS>(batch, run, row, id, self.address(id), is_plain) {
                found[first + row] = self.lookup_row(batch, run, row).unwrap_or(NO_GROUP);
            }
        }
    }

    fn lookup_row(&self, batch: &KeyBatch, run: &Run, row: usize) -> Option<u32> {
        let (entries, hash) = (self.index.entries(), run.hash::<0>(row));
        let mut place = entries.place(hash);
        while let Some(id) = entries.next(&mut place, hash) {
            if self.has_words::<0>(self.address(id), run, row)
                && self.keys.is_same(batch, run, row, (id, self.address(id)))
            {
                return Some(id);
            }
            place = entries.after(place);
        }
        None
    }

    /// The key columns of a batch.
    fn key_batch(&self, keys: &[ArrayRef]) -> Result<KeyBatch, TableError> {
        self.keys.batch(keys)
    }

    /// The key columns of these groups.
    pub fn key_columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        let (base, stride, words) = (self.rows.address(), self.stride(), self.keys.row_words());
        // SAFETY: the row of each group begins with the words of its key.
        self.keys.arrays(groups, |group| unsafe {
            std::slice::from_raw_parts(base.add(group as usize * stride).cast::<u64>(), words)
        })
    }

    /// Fills `ids` and `addresses` with the groups of some rows; creates new groups.
    pub fn find(&mut self, batch: &KeyBatch, start: usize, len: usize) -> Result<(), TableError> {
        if self.keys.len() == 0 && self.groups == 1 {
            (self.ids, self.addresses) = (vec![0; len], vec![self.rows.address(); len]);
            return Ok(());
        }
        let mut run = std::mem::take(&mut self.run);
        self.keys.encode(batch, start, len, &mut run);
        self.find_in(batch, run)
    }

    /// Like `find`, for a run that was taken from `self` and encoded.
    pub(super) fn find_in(&mut self, batch: &KeyBatch, run: Run) -> Result<(), TableError> {
        self.number_groups()?;
        let len = run.len;
        let room = self.make_room(len);
        self.ids.resize(len, 0);
        self.addresses.resize(len, std::ptr::null_mut());
        if room.is_ok() {
            self.find_encoded(batch, &run);
        }
        self.run = run;
        room
    }

    /// Like `find`, for encoded keys. Requires that groups are numbered and that room was made.
    pub fn find_encoded(&mut self, batch: &KeyBatch, run: &Run) {
        let is_large = self.index.bytes() + self.groups * self.stride() > PREFETCH_BYTES;
        match (self.keys.words, is_large) {
            (1, false) => self.find_run::<1, false>(batch, run),
            (1, true) => self.find_run::<1, true>(batch, run),
            (2, false) => self.find_run::<2, false>(batch, run),
            (2, true) => self.find_run::<2, true>(batch, run),
            (3, false) => self.find_run::<3, false>(batch, run),
            (3, true) => self.find_run::<3, true>(batch, run),
            (_, false) => self.find_run::<0, false>(batch, run),
            (_, true) => self.find_run::<0, true>(batch, run),
        }
    }

    pub fn make_room(&mut self, groups: usize) -> Result<(), TableError> {
        if self.groups + groups > GROUPS_MAX {
            return Err(TableError::Resource(format!(
                "more than {GROUPS_MAX} groups in one table"
            )));
        }
        self.index.reserve(groups)?;
        let needed = (self.groups + groups) * self.stride();
        if needed > self.rows.bytes() {
            self.history.grow(&mut self.rows, needed.next_power_of_two())?;
        }
        Ok(())
    }

    /// `WORDS`: words of a key, 0 if known only at run time.
    fn find_run<const WORDS: usize, const IS_LARGE: bool>(&mut self, batch: &KeyBatch, run: &Run) {
        // In locals, because the compiler must assume that writing ids may change fields.
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
        if IS_LARGE && run.has_long {
            self.keys.prefetch_long(run, addresses_out);
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
        self.has_words::<WORDS>(address, run, row) && (is_plain || self.keys.is_same(batch, run, row, (id, address)))
    }

    /// For a row whose first candidate has another key with the same upper half of the hash.
    #[cold]
    #[inline(never)]
    fn find_row<const WORDS: usize>(&mut self, batch: &KeyBatch, run: &Run, row: usize) -> u32 {
        let (entries, hash) = (self.index.entries(), run.hash::<WORDS>(row));
        let mut place = entries.place(hash);
        while let Some(id) = entries.next(&mut place, hash) {
            if self.has_words::<WORDS>(self.address(id), run, row)
                && self.keys.is_same(batch, run, row, (id, self.address(id)))
            {
                return id;
            }
            place = entries.after(place);
        }
        self.add::<WORDS>(batch, run, row, place, hash)
    }

    #[inline(always)]
    pub fn address(&self, id: u32) -> *mut u8 {
        self.rows.address().wrapping_add(id as usize * self.stride())
    }

    #[inline(always)]
    pub fn has_words<const WORDS: usize>(&self, address: *const u8, run: &Run, row: usize) -> bool {
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

    /// Creates a group for the key of this row, at the free place where the search ended.
    #[inline(never)]
    fn add<const WORDS: usize>(&mut self, batch: &KeyBatch, run: &Run, row: usize, place: usize, hash: u64) -> u32 {
        let id = self.groups as u32;
        let words = if WORDS == 0 { self.keys.words } else { WORDS };
        // SAFETY: `make_room` created the row.
        let kept = unsafe { std::slice::from_raw_parts_mut(self.address(id).cast::<u64>(), self.template.len()) };
        kept[..words].copy_from_slice(&run.words[row * words..(row + 1) * words]);
        kept[words..].copy_from_slice(&self.template[words..]);
        if !self.keys.is_plain() {
            self.keys.keep(batch, run, row, id, kept);
        }
        self.groups += 1;
        self.index.claim(place, hash, id);
        id
    }
}
