//! Groups by number: rows whose group is known, adding tables to tables, looking keys up without creating groups.
//!
//! Windows use tables in these ways; see `windows/`.

use arrow_array::ArrayRef;

use super::argument::Argument;
use super::state::{FromRows, Slots};
use super::table::{Aggregate, Table};
use crate::error::TableError;
use crate::keyed::encode::KeyBatch;
use crate::keyed::rows::RUN_ROWS;

/// Groups of another table that are added at once.
const ABSORBED_ROWS: usize = 8 << 10;

impl Table {
    /// See `KeyedRows`.
    pub fn capacity_bytes(&self) -> usize {
        self.keyed.capacity_bytes()
    }

    /// Creates groups without keys, for a table that has no key columns and is used by number only. Returns the first
    /// number.
    pub fn add_groups(&mut self, count: usize) -> Result<usize, TableError> {
        self.keyed.add_groups(count)
    }

    /// The group of each key; creates missing groups.
    pub fn groups_of_keys(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, TableError> {
        self.keyed.groups_of_keys(keys, rows)
    }

    /// The groups of those keys that have one.
    pub fn lookup(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, TableError> {
        self.keyed.lookup(keys, rows)
    }

    /// Takes arguments, one row for each of these groups; groups from `groups_before` on are new.
    pub fn update_at(
        &mut self,
        groups: &[u32],
        groups_before: usize,
        arguments: &[ArrayRef],
    ) -> Result<(), TableError> {
        self.take_at(
            (groups, groups_before),
            arguments,
            |aggregate, slots, inputs, start| aggregate.state.update(slots, inputs, start),
            |aggregate| aggregate.arguments.clone(),
        )
    }

    /// Like `update_at`, for partial columns without the key columns.
    pub fn merge_at(&mut self, groups: &[u32], groups_before: usize, partials: &[ArrayRef]) -> Result<(), TableError> {
        let keys = self.keyed.keys.len();
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
        mut kernel: impl FnMut(&mut Aggregate, &Slots<'_>, &[&Argument], usize) -> Result<(), TableError>,
        inputs_of: impl Fn(&Aggregate) -> Vec<usize>,
    ) -> Result<(), TableError> {
        let arguments = Argument::all(columns)?;
        self.keyed.history.touch(groups, self.keyed.groups);
        let (base, stride, now) = (self.keyed.rows.address(), self.keyed.stride(), self.keyed.groups);
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
    pub fn absorb(&mut self, other: &Self) -> Result<(), TableError> {
        if self.is_in_rows() && other.is_in_rows() {
            return if self.keyed.groups == 0 {
                self.copy(other)
            } else {
                self.absorb_rows(other)
            };
        }
        for start in (0..other.keyed.groups).step_by(ABSORBED_ROWS) {
            let ids: Vec<u32> = (start as u32..(start + ABSORBED_ROWS).min(other.keyed.groups) as u32).collect();
            self.absorb_groups(other, &ids)?;
        }
        Ok(())
    }

    /// True while rows and index contain everything about the groups.
    fn is_in_rows(&self) -> bool {
        self.keyed.keys.is_plain() && self.aggregates.iter().all(|aggregate| aggregate.state.is_in_rows())
    }

    /// Makes an empty table a copy of another one.
    fn copy(&mut self, other: &Self) -> Result<(), TableError> {
        self.keyed.copy_from(&other.keyed)?;
        self.aggregates
            .iter_mut()
            .for_each(|aggregate| aggregate.state.copy_rows());
        Ok(())
    }

    /// Adds all groups of a table, row by row; requires that both tables are entirely in rows.
    fn absorb_rows(&mut self, other: &Self) -> Result<(), TableError> {
        let (words, stride) = (self.keyed.keys.words, self.keyed.stride());
        self.keyed.number_groups()?;
        let nothing = KeyBatch::default();
        let mut run = std::mem::take(&mut self.keyed.run);
        for start in (0..other.keyed.groups).step_by(RUN_ROWS) {
            let len = RUN_ROWS.min(other.keyed.groups - start);
            let rows = FromRows {
                rows: other.keyed.rows.address().wrapping_add(start * stride),
                stride,
            };
            (run.start, run.len, run.words_of_key) = (0, len, words);
            (run.has_nulls, run.has_long) = (false, false);
            run.words.clear();
            for row in 0..len {
                run.words.extend((0..words).map(|word| rows.read::<u64>(row, word * 8)));
            }
            self.keyed.make_room(len)?;
            self.keyed.ids.resize(len, 0);
            self.keyed.addresses.resize(len, std::ptr::null_mut());
            let before = self.keyed.groups;
            self.keyed.find_encoded(&nothing, &run);
            self.touch_found(before);
            let slots = Slots {
                rows: &self.keyed.addresses,
                groups: &self.keyed.ids,
                groups_before: self.keyed.groups,
                groups_now: self.keyed.groups,
                base: self.keyed.rows.address(),
                stride,
            };
            for aggregate in &mut self.aggregates {
                aggregate.state.merge_rows(&slots, &rows)?;
            }
        }
        self.keyed.run = run;
        Ok(())
    }

    /// Adds some groups of another table.
    pub fn absorb_groups(&mut self, other: &Self, ids: &[u32]) -> Result<(), TableError> {
        let partials = other.partials_of(ids)?;
        self.merge(partials.columns(), ids.len())
    }
}
