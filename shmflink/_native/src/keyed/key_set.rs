//! Distinct keys of one word in a table without state: an entry of the index is the whole key, mixed.
//!
//! ```text
//! entry (8 bytes)   0 = free, else  mix(word of the key); mix is a bijection, so equal entries are equal keys
//! place             the highest bits of the mixed key, as in an index of hashes
//! ```
//! A row costs one cache line, while one whose group is looked up costs another, that of its group. Groups are not
//! numbered in the index: the first call that asks for the group of a key, and the first null, make it an index of hashes.

use super::encode::{KeyBatch, Run};
use super::index::Entries;
use super::rows::{KeyedRows, RUN_ROWS};
use crate::error::TableError;
use crate::exchange::hash::P0;

/// The key that mixes to 0, which is no entry.
pub const UNMIXED: u64 = P0;

/// A bijection of words whose upper bits depend on all bits (the finalizer of MurmurHash3).
#[inline(always)]
fn mix(word: u64) -> u64 {
    let mut x = word ^ UNMIXED;
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

impl KeyedRows {
    /// Creates the missing groups of some rows. Where it needs no numbers, `ids` are then the new groups alone, in order.
    pub fn add_keys(&mut self, batch: &KeyBatch, start: usize, len: usize) -> Result<(), TableError> {
        let before = self.groups;
        let mut run = std::mem::take(&mut self.run);
        self.keys.encode(batch, start, len, &mut run);
        if self.keys.words != 1 || self.template.len() != 1 || !self.keys.is_plain() || (before > 0 && !self.is_set) {
            return self.find_in(batch, run);
        }
        self.is_set = true;
        let room = self.make_room(len);
        if room.is_ok() {
            self.add_mixed(&run);
        }
        self.run = run;
        self.ids.clear();
        self.ids.extend(before as u32..self.groups as u32);
        self.addresses.clear();
        room
    }

    fn add_mixed(&mut self, run: &Run) {
        let entries = self.index.entries();
        let mut mixed = [0; RUN_ROWS];
        for (entry, word) in mixed.iter_mut().zip(&run.words) {
            *entry = mix(*word);
            entries.prefetch(*entry);
        }
        for (entry, word) in mixed.iter().zip(&run.words) {
            if *entry == 0 {
                self.add_unmixed();
            } else if let Some(place) = free_place(entries, *entry) {
                self.index.claim_whole(place, *entry);
                self.push_key(*word);
            }
        }
    }

    #[cold]
    fn add_unmixed(&mut self) {
        if !std::mem::replace(&mut self.has_unmixed, true) {
            self.push_key(UNMIXED);
        }
    }

    #[inline(always)]
    fn push_key(&mut self, word: u64) {
        // SAFETY: `make_room` created the row, which is one word.
        unsafe { self.rows.address().cast::<u64>().add(self.groups).write(word) };
        self.groups += 1;
    }

    /// Makes the index one of hashes. Must be called before groups are looked up.
    #[inline]
    pub fn number_groups(&mut self) -> Result<(), TableError> {
        if std::mem::take(&mut self.is_set) {
            return self.index_groups();
        }
        Ok(())
    }

    #[cold]
    fn index_groups(&mut self) -> Result<(), TableError> {
        self.index.clear();
        self.index.reserve(self.groups)?;
        self.has_unmixed = false;
        let entries = self.index.entries();
        let mut run = Run::default();
        for start in (0..self.groups).step_by(RUN_ROWS) {
            run.words.clear();
            // SAFETY: the groups exist; the row of each is one word.
            run.words.extend(
                (start..self.groups.min(start + RUN_ROWS))
                    .map(|group| unsafe { self.rows.address().cast::<u64>().add(group).read() }),
            );
            for row in 0..run.words.len() {
                let hash = run.hash::<1>(row);
                let mut place = entries.place(hash);
                while entries.next(&mut place, hash).is_some() {
                    place = entries.after(place);
                }
                self.index.claim(place, hash, (start + row) as u32);
            }
        }
        Ok(())
    }
}

/// Where the search for this entry ends; None if it was found.
#[inline(always)]
fn free_place(entries: Entries, entry: u64) -> Option<usize> {
    let mut place = entries.place(entry);
    loop {
        match entries.entry(place) {
            0 => return Some(place),
            kept if kept == entry => return None,
            _ => place = entries.after(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, UInt64Array};
    use arrow_schema::DataType;

    use super::{KeyedRows, UNMIXED};
    use crate::keyed::keys::Keys;

    fn rows() -> KeyedRows {
        KeyedRows::new(Keys::new([DataType::UInt64].iter()).expect("a key"))
    }

    fn add(rows: &mut KeyedRows, words: &[Option<u64>]) -> Vec<u32> {
        let array: ArrayRef = Arc::new(UInt64Array::from(words.to_vec()));
        let batch = rows.keys.batch(&[array]).expect("keys");
        rows.add_keys(&batch, 0, words.len()).expect("memory");
        rows.ids.clone()
    }

    #[test]
    fn each_key_is_added_once_and_found_again_when_groups_are_numbered() {
        let mut rows = rows();
        assert_eq!(
            add(&mut rows, &[Some(0), Some(UNMIXED), Some(0), Some(UNMIXED), Some(7)]),
            [0, 1, 2]
        );
        let many: Vec<_> = (0..100).map(|word| Some(word << 40)).collect();
        assert_eq!(add(&mut rows, &many).len(), 99);
        assert!(rows.is_set);
        let keys: ArrayRef = Arc::new(UInt64Array::from(vec![7, UNMIXED, 1, 0, 99 << 40]));
        assert_eq!(rows.groups_of_keys(&[keys], 5).expect("memory"), [2, 1, 102, 0, 101]);
        assert!(!rows.is_set);
    }

    #[test]
    fn a_null_ends_the_set_and_an_emptied_table_begins_another() {
        let mut rows = rows();
        add(&mut rows, &[Some(5), Some(6)]);
        add(&mut rows, &[Some(6), None, Some(8), None]);
        assert_eq!((rows.groups, rows.is_set), (4, false));
        rows.clear(0);
        assert_eq!(add(&mut rows, &[Some(6), Some(6)]), [0]);
        assert!(rows.is_set);
    }
}
