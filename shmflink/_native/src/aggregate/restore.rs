//! Restores rows of snapshots into tables.

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::{Field, Schema};
use arrow_select::take::take;

use super::table::Table;
use crate::error::TableError;
use crate::keyed::plain::plain_type;

/// The columns of a snapshot batch, without the key group.
pub struct Restored {
    pub columns: Vec<ArrayRef>,
    pub rows: usize,
    /// In a batch of changes: which entries were removed.
    pub deleted: Option<BooleanArray>,
}

impl Restored {
    /// `width`: the columns of a row, without key group and deletion.
    pub fn new(batch: &RecordBatch, width: usize) -> Result<Self, TableError> {
        let columns = batch.columns();
        let deleted = columns
            .get(width + 1)
            .map(|last| last.as_any().downcast_ref::<BooleanArray>());
        match (columns.len().checked_sub(width), deleted) {
            (Some(1), _) => {}
            (Some(2), Some(Some(_))) => {}
            _ => {
                let message = format!("{} columns of a snapshot for {width}", columns.len());
                return Err(TableError::Internal(message));
            }
        }
        Ok(Self {
            columns: columns[1..=width].to_vec(),
            rows: batch.num_rows(),
            deleted: deleted.flatten().cloned(),
        })
    }
}

/// Snapshots and the changes that followed them, restored together: a later row replaces an earlier one.
#[derive(Default)]
pub struct Collapse {
    batches: Vec<Restored>,
}

impl Collapse {
    pub fn push(&mut self, batch: Restored) {
        self.batches.push(batch);
    }

    /// Calls `take` with rows that were not replaced; `entry`: the number of leading columns that identify an entry.
    pub fn each(
        &mut self,
        entry: usize,
        mut take: impl FnMut(&[ArrayRef], usize) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        let mut batches = std::mem::take(&mut self.batches);
        if batches.iter().all(|batch| batch.deleted.is_none()) {
            return batches.iter().try_for_each(|batch| take(&batch.columns, batch.rows));
        }
        let columns = batches[0].columns[..entry].iter().enumerate();
        let fields = columns.map(|(index, c)| Field::new(index.to_string(), plain_type(c.data_type()).clone(), true));
        let mut known = Table::new(&Schema::new(fields.collect::<Vec<_>>()), &Schema::empty(), &[], false)?;
        // Backward from the last row, so that the first row found for an entry is the valid one.
        while let Some(batch) = batches.pop() {
            let kept = UInt32Array::from(last_of_each(&batch, entry, &mut known)?);
            let columns = batch.columns.iter().map(|column| take_rows(column, &kept));
            take(&columns.collect::<Result<Vec<_>, _>>()?, kept.len())?;
        }
        Ok(())
    }
}

fn take_rows(column: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef, TableError> {
    Ok(take(column, rows, None)?)
}

/// Rows whose entry has not been seen and is not removed.
fn last_of_each(batch: &Restored, entry: usize, known: &mut Table) -> Result<Vec<u32>, TableError> {
    let before = known.groups();
    let groups = known.groups_of_keys(&batch.columns[..entry], batch.rows)?;
    let mut is_new = vec![true; known.groups() - before];
    let is_deleted = |row: usize| batch.deleted.as_ref().is_some_and(|deleted| deleted.value(row));
    let mut rows = Vec::with_capacity(batch.rows);
    for (row, group) in groups.iter().enumerate().rev() {
        let new = (*group as usize).checked_sub(before).map(|number| &mut is_new[number]);
        if new.is_some_and(std::mem::take) && !is_deleted(row) {
            rows.push(row as u32);
        }
    }
    rows.reverse();
    Ok(rows)
}

impl Table {
    /// Restores partial rows, which replace the existing state of their keys. A key must have at most one row.
    pub fn replace(&mut self, columns: &[ArrayRef], rows: usize) -> Result<(), TableError> {
        let groups = self.lookup(&columns[..self.keyed.keys.len()], rows)?;
        self.keyed.history.touch(&groups, self.keyed.groups);
        let (words, stride) = (self.keyed.keys.row_words(), self.keyed.stride());
        for group in &groups {
            let row = self
                .keyed
                .rows
                .address()
                .wrapping_add(*group as usize * stride + words * 8);
            let initial = &self.keyed.template[words..];
            // SAFETY: the words of states in the row of an existing group.
            unsafe { std::ptr::copy_nonoverlapping(initial.as_ptr(), row.cast::<u64>(), initial.len()) };
        }
        self.aggregates
            .iter_mut()
            .for_each(|aggregate| aggregate.state.forget(&groups, self.keyed.groups));
        self.merge(columns, rows)
    }

    /// Must be called after all rows of snapshots.
    pub fn end_restore(&mut self) {
        self.forget_changes(); // results of these groups were emitted before
        let groups = self.keyed.groups;
        self.aggregates
            .iter_mut()
            .for_each(|aggregate| aggregate.state.end_restore(groups));
    }

    /// Whether `replace` may be used.
    pub fn can_replace(&self) -> bool {
        self.aggregates
            .iter()
            .all(|aggregate| !aggregate.state.takes_whole_batches())
    }
}
