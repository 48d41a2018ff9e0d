//! A pane, a range of time; a window consists of one or more panes.

use crate::aggregate::Table;

/// The rows of one pane.
pub struct Pane {
    pub table: Table,
    /// Rows that arrived after the table had been merged into the stacks.
    pub late: Option<Table>,
    pub is_merged: bool,
    /// Whether checkpoints contain rows of the pane.
    pub is_saved: bool,
}

impl Pane {
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.table).chain(&self.late)
    }

    pub fn groups(&self) -> usize {
        self.tables().map(Table::groups).sum()
    }

    /// The rows of the pane in a snapshot of changes. If there are late rows, that is the whole pane, which is merged
    /// again.
    pub fn changed(&self) -> usize {
        match (&self.late, self.table.marks()) {
            (None, Some(marks)) => marks.count(),
            _ => self.groups(),
        }
    }
}
