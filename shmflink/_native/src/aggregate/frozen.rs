//! Groups of a table as they were at one moment, read in another thread.
//!
//! For few groups, columns are created at once. For many, the rows are frozen (`shadow.rs`) and converted to columns
//! later.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::state::{Groups, State};
use super::table::Table;
use crate::error::TableError;
use crate::keyed::index::prefetch;
use crate::keyed::keys::Keys;
use crate::keyed::marks::Marks;
use crate::keyed::shadow::Shadow;

/// Tables with at most this many groups become columns at once; a mapping and its pages would cost more.
const SMALL_GROUPS: usize = 4 << 10;
/// Groups of a large table that become columns at once; more would stop the table for some milliseconds.
const CHOSEN_GROUPS_MAX: usize = 1 << 18;
/// Choose single groups only while fewer than one group in this many is chosen; otherwise copying all rows is cheaper.
const GROUPS_PER_CHOSEN: usize = 16;
/// Groups whose rows stay in the cache while columns are created from them.
pub const CACHED_GROUPS: usize = 2 << 10;

/// Groups by position: 0 to `len` - 1.
pub enum Frozen {
    Columns {
        columns: Vec<ArrayRef>,
        keys: usize,
        len: usize,
    },
    Rows(Box<FrozenRows>),
    /// Groups of several tables, which are merged into this (initially empty) table before they are read.
    Joined(Box<Table>, Vec<Frozen>),
}

pub struct FrozenRows {
    shadow: Arc<Shadow>,
    stride: usize,
    keys: Keys,
    states: Vec<Box<dyn State>>,
    /// The chosen groups; none: all.
    chosen: Option<Vec<u32>>,
    len: usize,
}

impl Frozen {
    /// Key columns of groups that no longer exist.
    pub fn of_keys(columns: Vec<ArrayRef>, len: usize) -> Self {
        Self::Columns {
            keys: columns.len(),
            columns,
            len,
        }
    }

    /// For `Joined` an upper bound, until `finish`.
    pub fn len(&self) -> usize {
        match self {
            Self::Columns { len, .. } => *len,
            Self::Rows(rows) => rows.len,
            Self::Joined(_, parts) => parts.iter().map(Self::len).sum(),
        }
    }

    /// Must be called before groups are read, in the thread that reads them.
    pub fn finish(&mut self) -> Result<(), TableError> {
        if let Self::Joined(table, parts) = self {
            for part in parts {
                for places in pieces(part.len(), CACHED_GROUPS) {
                    let mut columns = part.keys(&places)?;
                    columns.extend(part.partials(&places)?);
                    table.merge(&columns, places.len())?;
                }
            }
            let all: Vec<u32> = (0..table.groups() as u32).collect();
            *self = table.columns_of(&all)?;
        }
        Ok(())
    }

    /// Prefetches the rows of some groups, which are far apart, before they are read column by column.
    pub fn prefetch(&self, places: &[u32]) {
        if let Self::Rows(rows) = self {
            rows.prefetch(places);
        }
    }

    /// The key columns of groups.
    pub fn keys(&self, places: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        match self {
            Self::Columns { columns, keys, .. } => taken(&columns[..*keys], places),
            Self::Rows(rows) => rows.key_columns(&rows.groups_at(places)),
            Self::Joined(..) => unreachable!("groups that were not finished"),
        }
    }

    /// All other columns.
    pub fn partials(&self, places: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        match self {
            Self::Columns { columns, keys, .. } => taken(&columns[*keys..], places),
            Self::Rows(rows) => rows.partials(&rows.groups_at(places)),
            Self::Joined(..) => unreachable!("groups that were not finished"),
        }
    }
}

fn taken(columns: &[ArrayRef], places: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
    let places = UInt32Array::from(places.to_vec());
    let columns = columns.iter().map(|column| take(column, &places, None));
    Ok(columns.collect::<Result<_, _>>()?)
}

/// The numbers below `len`, in pieces.
pub fn pieces(len: usize, rows_max: usize) -> impl Iterator<Item = Vec<u32>> {
    let starts = (0..len).step_by(rows_max);
    starts.map(move |start| (start as u32..(start + rows_max).min(len) as u32).collect())
}

impl FrozenRows {
    fn groups_at(&self, places: &[u32]) -> Vec<u32> {
        match &self.chosen {
            None => places.to_vec(),
            Some(chosen) => places.iter().map(|place| chosen[*place as usize]).collect(),
        }
    }

    fn prefetch(&self, places: &[u32]) {
        let base = self.shadow.rows();
        for group in self.groups_at(places) {
            let row = base.wrapping_add(group as usize * self.stride);
            prefetch(row);
            prefetch(row.wrapping_add(self.stride.saturating_sub(8)));
        }
    }

    fn key_columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        let (base, stride, words) = (self.shadow.rows(), self.stride, self.keys.row_words());
        // SAFETY: the shadow holds the row of each group, which begins with the words of its key.
        self.keys.arrays(groups, |group| unsafe {
            std::slice::from_raw_parts(base.add(group as usize * stride).cast::<u64>(), words)
        })
    }

    fn partials(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        let groups = Groups {
            ids: groups,
            rows: self.shadow.rows(),
            stride: self.stride,
        };
        let mut columns = Vec::new();
        for state in &self.states {
            columns.extend(state.partials(&groups)?);
        }
        Ok(columns)
    }
}

impl Table {
    /// Freezes all groups, or the marked ones.
    pub fn freeze(&mut self, marks: Option<&Marks>) -> Result<Frozen, TableError> {
        let count = marks.map_or(self.keyed.groups, Marks::count);
        let is_few = marks.is_some() && count <= CHOSEN_GROUPS_MAX && count * GROUPS_PER_CHOSEN <= self.keyed.groups;
        if count <= SMALL_GROUPS || is_few {
            let groups = marks.map_or_else(|| (0..count as u32).collect(), Marks::groups);
            return self.columns_of(&groups);
        }
        Ok(Frozen::Rows(Box::new(FrozenRows {
            shadow: self
                .keyed
                .history
                .shadow(&self.keyed.rows, self.keyed.groups, self.keyed.stride())?,
            stride: self.keyed.stride(),
            keys: self.keyed.keys.frozen(),
            states: self
                .aggregates
                .iter()
                .map(|aggregate| aggregate.state.frozen())
                .collect(),
            chosen: marks.map(Marks::groups),
            len: count,
        })))
    }

    /// These groups, as columns.
    fn columns_of(&self, groups: &[u32]) -> Result<Frozen, TableError> {
        let empty = [self.partials_of(&[])?];
        let batches = groups.chunks(CACHED_GROUPS).map(|groups| self.partials_of(groups));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let batches = if batches.is_empty() { &empty[..] } else { &batches };
        let column_of = |index: usize| {
            let columns: Vec<_> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
            concat(&columns)
        };
        Ok(Frozen::Columns {
            columns: (0..batches[0].num_columns()).map(column_of).collect::<Result<_, _>>()?,
            keys: self.keyed.keys.len(),
            len: groups.len(),
        })
    }

    /// A table with the same groups; only its keys may be read.
    pub fn keys_alone(&self) -> Self {
        debug_assert!(self.aggregates.is_empty());
        self.with(self.keyed.keys_alone())
    }

    /// From now on, records which groups change; returns what was recorded so far.
    pub fn track_changes_anew(&mut self) -> Marks {
        self.keyed.history.marks.replace(Marks::default()).unwrap_or_default()
    }

    /// The changed groups.
    pub fn marks(&self) -> Option<&Marks> {
        self.keyed.history.marks.as_ref()
    }

    /// Also marks these groups as changed.
    pub fn mark(&mut self, marks: &Marks) {
        if let Some(kept) = &mut self.keyed.history.marks {
            kept.join(marks);
        }
    }
}
