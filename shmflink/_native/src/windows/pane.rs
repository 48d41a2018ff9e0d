//! A stretch of time; a window is one or more of them.

use crate::aggregate::Table;

/// Rows of one stretch of time.
pub struct Pane {
    pub table: Table,
    /// Rows that came after the table had been merged into the stacks.
    pub late: Option<Table>,
    pub is_merged: bool,
    /// Checkpoints have rows of it.
    pub is_saved: bool,
}

impl Pane {
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.table).chain(&self.late)
    }

    pub fn groups(&self) -> usize {
        self.tables().map(Table::groups).sum()
    }

    /// Rows that a snapshot of changes has of it. With late rows it is the whole pane, because it is added up anew.
    pub fn changed(&self) -> usize {
        match (&self.late, self.table.marks()) {
            (None, Some(marks)) => marks.count(),
            _ => self.groups(),
        }
    }
}
