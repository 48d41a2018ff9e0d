//! The row groups that begin inside a range of a file.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt64Array};
use arrow_schema::Field;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use super::footer::Footer;
use super::local_file::LocalFile;

const MAGIC_BYTES: u64 = 4;

/// A row group of a range. Bytes and rows are counted from the start of the file.
pub struct Group {
    pub number: usize,
    pub start: u64,
    pub first_row: u64,
    pub rows: u64,
}

/// An open file, and which of its row groups to read.
pub struct Range {
    pub file: LocalFile,
    pub footer: Arc<Footer>,
    pub groups: Vec<Group>,
}

/// Statistics of one column, one element per row group; null if the file does not state it.
pub struct Bounds {
    pub lows: ArrayRef,
    pub highs: ArrayRef,
    pub null_counts: UInt64Array,
}

impl Range {
    pub fn new(file: LocalFile, footer: Arc<Footer>, offset: u64, length: u64) -> Self {
        let mut groups = Vec::new();
        let mut first_row = 0;
        for (number, group) in footer.metadata().row_groups().iter().enumerate() {
            let rows = group.num_rows().max(0) as u64;
            let start = start_of(group);
            if (offset..offset.saturating_add(length)).contains(&start) {
                groups.push(Group {
                    number,
                    start,
                    first_row,
                    rows,
                });
            }
            first_row += rows;
        }
        Self { file, footer, groups }
    }

    /// None if the statistics use another order than the values.
    pub fn bounds(&self, leaf: usize, field: &Field) -> Option<Bounds> {
        let metadata = self.footer.metadata();
        let groups = || self.groups.iter().map(|group| metadata.row_group(group.number));
        let is_old = |group: &RowGroupMetaData| {
            let statistics = group.column(leaf).statistics();
            statistics.is_some_and(|known| known.is_min_max_deprecated())
        };
        if groups().any(is_old) {
            return None;
        }
        let schema = metadata.file_metadata().schema_descr();
        let known = StatisticsConverter::from_column_index(leaf, field, schema).ok()?;
        let known = known.with_missing_null_counts_as_zero(false);
        Some(Bounds {
            lows: known.row_group_mins(groups()).ok()?,
            highs: known.row_group_maxes(groups()).ok()?,
            null_counts: known.row_group_null_counts(groups()).ok()?,
        })
    }
}

/// The offset of a row group's first page in the file.
fn start_of(group: &RowGroupMetaData) -> u64 {
    match group.columns().first() {
        Some(chunk) => chunk.byte_range().0,
        None => MAGIC_BYTES,
    }
}
