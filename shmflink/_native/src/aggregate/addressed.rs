//! Groups by their number: rows whose group is known, tables added to tables, keys that are looked up and not made.
//!
//! Windows use tables in these ways; see `windows/`.

use arrow_array::ArrayRef;

use super::argument::{plain, Argument};
use super::encode::{KeyBatch, Run};
use super::probe::RUN_ROWS;
use super::state::{FromRows, Slots};
use super::table::{Aggregate, Table};
use crate::exchange::error::ExchangeError;

/// Groups of another table that are added at once.
const ABSORBED_ROWS: usize = 8 << 10;

impl Table {
    /// Groups without a key, for a table that has no key columns and is used by number alone. The first one's number.
    pub fn add_groups(&mut self, count: usize) -> Result<usize, ExchangeError> {
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

    /// The group of each key; new ones are made.
    pub fn groups_of_keys(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, ExchangeError> {
        let batch = self.key_batch(keys)?;
        let mut all = Vec::with_capacity(rows);
        for start in (0..rows).step_by(RUN_ROWS) {
            self.find(&batch, start, RUN_ROWS.min(rows - start))?;
            all.extend_from_slice(&self.ids);
        }
        Ok(all)
    }

    /// The groups of those keys that have one.
    pub fn lookup(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, ExchangeError> {
        let mut found = Vec::new();
        if self.groups == 0 {
            return Ok(found);
        }
        let batch = self.key_batch(keys)?;
        let mut run = Run::default();
        for start in (0..rows).step_by(RUN_ROWS) {
            // Nulls and long keys that no group has must not change how this table compares its own.
            self.keys
                .encode_only(&batch, start, RUN_ROWS.min(rows - start), &mut run);
            found.extend((0..run.len).filter_map(|row| self.lookup_row(&batch, &run, row)));
        }
        Ok(found)
    }

    fn lookup_row(&self, batch: &KeyBatch, run: &Run, row: usize) -> Option<u32> {
        let (entries, hash) = (self.index.entries(), run.hash::<0>(row));
        let mut place = entries.place(hash);
        while let Some(id) = entries.next(&mut place, hash) {
            if self.has_words::<0>(self.address(id), run, row) && self.keys.is_same(batch, run, row, id as usize) {
                return Some(id);
            }
            place = entries.after(place);
        }
        None
    }

    /// Takes arguments, one row for each of these groups; those from `groups_before` on have had none so far.
    pub fn update_at(
        &mut self,
        groups: &[u32],
        groups_before: usize,
        arguments: &[ArrayRef],
    ) -> Result<(), ExchangeError> {
        self.take_at(
            (groups, groups_before),
            arguments,
            |aggregate, slots, inputs, start| aggregate.state.update(slots, inputs, start),
            |aggregate| aggregate.arguments.clone(),
        )
    }

    /// Takes partial columns, without those of keys, as `update_at`.
    pub fn merge_at(
        &mut self,
        groups: &[u32],
        groups_before: usize,
        partials: &[ArrayRef],
    ) -> Result<(), ExchangeError> {
        let keys = self.keys.len();
        self.take_at(
            (groups, groups_before),
            partials,
            |aggregate, slots, inputs, start| aggregate.state.merge(slots, inputs, start),
            |aggregate| aggregate.partials.clone().map(|column| column - keys).collect(),
        )
    }

    fn take_at(
        &mut self,
        (groups, groups_before): (&[u32], usize),
        columns: &[ArrayRef],
        mut kernel: impl FnMut(&mut Aggregate, &Slots<'_>, &[&Argument], usize) -> Result<(), ExchangeError>,
        inputs_of: impl Fn(&Aggregate) -> Vec<usize>,
    ) -> Result<(), ExchangeError> {
        let arguments = Argument::all(columns)?;
        self.history.touch(groups, self.groups);
        let (base, stride, now) = (self.rows.address(), self.stride(), self.groups);
        let addresses: Vec<_> = groups.iter().map(|g| base.wrapping_add(*g as usize * stride)).collect();
        let slots_at = |start: usize, end: usize| Slots {
            rows: &addresses[start..end],
            groups: &groups[start..end],
            groups_before,
            groups_now: now,
            base,
            stride,
        };
        let inputs: Vec<Vec<&Argument>> = self
            .aggregates
            .iter()
            .map(|aggregate| inputs_of(aggregate).iter().map(|index| &arguments[*index]).collect())
            .collect();
        for start in (0..groups.len()).step_by(RUN_ROWS) {
            let slots = slots_at(start, (start + RUN_ROWS).min(groups.len()));
            for (aggregate, inputs) in self.aggregates.iter_mut().zip(&inputs) {
                if !aggregate.state.takes_whole_batches() {
                    kernel(aggregate, &slots, inputs, start)?;
                }
            }
        }
        for (aggregate, inputs) in self.aggregates.iter_mut().zip(&inputs) {
            if aggregate.state.takes_whole_batches() {
                kernel(aggregate, &slots_at(0, groups.len()), inputs, 0)?;
            }
        }
        Ok(())
    }

    /// Adds all groups of another table of the same keys and calls.
    pub fn absorb(&mut self, other: &Self) -> Result<(), ExchangeError> {
        if self.is_in_rows() && other.is_in_rows() {
            return if self.groups == 0 {
                self.copy(other)
            } else {
                self.absorb_rows(other)
            };
        }
        for start in (0..other.groups).step_by(ABSORBED_ROWS) {
            let ids: Vec<u32> = (start as u32..(start + ABSORBED_ROWS).min(other.groups) as u32).collect();
            self.absorb_groups(other, &ids)?;
        }
        Ok(())
    }

    /// True while rows and index are all there is of the groups.
    fn is_in_rows(&self) -> bool {
        self.keys.is_plain() && self.aggregates.iter().all(|aggregate| aggregate.state.is_in_rows())
    }

    /// Makes an empty table a copy of another one.
    fn copy(&mut self, other: &Self) -> Result<(), ExchangeError> {
        let bytes = other.groups * other.stride();
        if bytes > self.rows.bytes() {
            self.history.grow(&mut self.rows, bytes.next_power_of_two())?;
        }
        // SAFETY: both hold so many bytes of rows.
        unsafe { std::ptr::copy_nonoverlapping(other.rows.address(), self.rows.address(), bytes) };
        self.aggregates
            .iter_mut()
            .for_each(|aggregate| aggregate.state.copy_rows());
        self.index.copy_from(&other.index)?;
        self.groups = other.groups;
        if let Some(marks) = &mut self.history.marks {
            marks.mark_range(0..self.groups);
        }
        Ok(())
    }

    /// Adds all groups of a table, row by row; both are in rows.
    fn absorb_rows(&mut self, other: &Self) -> Result<(), ExchangeError> {
        let (words, stride) = (self.keys.words, self.stride());
        let nothing = KeyBatch::default();
        let mut run = std::mem::take(&mut self.run);
        for start in (0..other.groups).step_by(RUN_ROWS) {
            let len = RUN_ROWS.min(other.groups - start);
            let rows = FromRows {
                rows: other.rows.address().wrapping_add(start * stride),
                stride,
            };
            (run.start, run.len, run.words_of_key) = (0, len, words);
            (run.has_nulls, run.has_long) = (false, false);
            run.words.clear();
            for row in 0..len {
                run.words.extend((0..words).map(|word| rows.read::<u64>(row, word * 8)));
            }
            self.make_room(len)?;
            self.ids.resize(len, 0);
            self.addresses.resize(len, std::ptr::null_mut());
            let before = self.groups;
            self.find_encoded(&nothing, &run);
            self.touch_found(before);
            let slots = Slots {
                rows: &self.addresses,
                groups: &self.ids,
                groups_before: self.groups,
                groups_now: self.groups,
                base: self.rows.address(),
                stride,
            };
            for aggregate in &mut self.aggregates {
                aggregate.state.merge_rows(&slots, &rows)?;
            }
        }
        self.run = run;
        Ok(())
    }

    /// Adds some groups of another table.
    pub fn absorb_groups(&mut self, other: &Self, ids: &[u32]) -> Result<(), ExchangeError> {
        let partials = other.partials_of(ids)?;
        self.merge(partials.columns(), ids.len())
    }

    /// Memory that is at hand for groups, whether or not there are any.
    pub fn capacity_bytes(&self) -> usize {
        self.rows.bytes() + self.index.bytes()
    }

    fn key_batch(&self, keys: &[ArrayRef]) -> Result<KeyBatch, ExchangeError> {
        self.keys.batch(&keys.iter().map(plain).collect::<Result<Vec<_>, _>>()?)
    }
}
