//! The common part of all kinds of windows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow_select::concat::concat_batches;

use super::fired::Fired;
use crate::aggregate::{Barrier, CallSpec, Freeze, Frozen, Part, Table, Times};
use crate::error::TableError;

/// The hidden timestamp column (`core/batch.py`), which comes last.
const TIMESTAMP_COLUMN: &str = "__timestamp";
/// Hidden columns of snapshots: the pane or session to which a partial row belongs.
const START_COLUMN: &str = "__start";
const END_COLUMN: &str = "__end";
/// Memory that emptied tables keep for the next pane, at least.
const SPARE_BYTES: usize = 64 << 20;
/// Groups that become columns at once.
pub const PIECE_ROWS: usize = 1 << 16;

/// Windows of one kind, of all keys.
pub trait Windows: Send {
    /// Processes rows of the input schema, or partial rows; `stamps` are their timestamps. Returns the numbers of late
    /// rows.
    fn update(&mut self, columns: &[ArrayRef], stamps: &[i64], is_partial: bool) -> Result<Vec<i64>, TableError>;
    /// Advances the watermark, which makes windows due.
    fn advance(&mut self, watermark: i64);
    /// The next at most `rows_max` results: of windows that are due, or that late rows changed.
    fn take(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError>;
    /// Freezes everything, or the changes: partial rows with the windows to which they belong.
    fn freeze(&mut self, barrier: Barrier) -> Result<Freeze, TableError>;
    /// Restores rows of a snapshot; must precede all other rows.
    fn restore(&mut self, columns: &[ArrayRef], starts: &[i64], ends: &[i64]) -> Result<(), TableError>;
    /// Must follow them: these windows have already fired, and rows are late at `watermark`.
    fn resume(&mut self, fired: Fired, watermark: i64) -> Result<(), TableError>;
    fn fields(&self) -> SnapshotFields;
    /// All windows with max_timestamp up to this have fired.
    fn fired(&self) -> i64;
    /// What had fired before a restore, while that is more than `fired()` for some keys.
    fn fired_before(&self) -> Option<&Fired>;
    /// A lower bound for the timestamp of the next due window, if any is open.
    fn next_due(&self) -> Option<i64>;
    fn groups(&self) -> usize;
    fn bytes(&self) -> usize;
}

/// The columns of snapshots: keys and times, then partial columns.
pub type SnapshotFields = (Vec<Field>, Fields);

/// Windows or sessions that were in a snapshot and no longer exist.
#[derive(Clone)]
pub struct Gone {
    pub keys: Vec<ArrayRef>,
    pub starts: Vec<i64>,
}

impl Gone {
    pub fn part(&self) -> Part {
        Part {
            groups: Frozen::of_keys(self.keys.clone(), self.starts.len()),
            keys: None,
            times: Times::Each(self.starts.clone(), self.starts.clone()),
            is_deleted: true,
        }
    }

    pub fn rows_of(gone: &[Self]) -> usize {
        gone.iter().map(|gone| gone.starts.len()).sum()
    }
}

/// Creates tables, and the output made from them.
pub struct Maker {
    keys: SchemaRef,
    arguments: SchemaRef,
    calls: Vec<CallSpec>,
    result: SchemaRef,
    snapshot: SnapshotFields,
    spare: Vec<Table>,
    spare_bytes_max: usize,
}

impl Maker {
    /// `names`: of the columns for the start and the end of a window.
    pub fn new(
        keys: SchemaRef,
        arguments: SchemaRef,
        calls: Vec<CallSpec>,
        names: (&str, &str),
    ) -> Result<Self, TableError> {
        let table = Table::new(&keys, &arguments, &calls, false)?;
        let fields = table.result_schema().fields();
        let moment = |name: &str| Arc::new(Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), true));
        let hidden = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
        let (of_keys, of_calls) = fields.split_at(keys.fields().len());
        let mut result = of_keys.to_vec();
        result.extend([moment(names.0), moment(names.1)]);
        result.extend(of_calls.iter().cloned());
        result.push(hidden(TIMESTAMP_COLUMN));
        let (of_keys, partials) = table.partial_schema().fields().split_at(keys.fields().len());
        let times = [hidden(START_COLUMN), hidden(END_COLUMN)];
        let entry = of_keys.iter().chain(&times).map(|field| field.as_ref().clone());
        let snapshot = (entry.collect(), Fields::from(partials));
        Ok(Self {
            keys,
            arguments,
            calls,
            result: Arc::new(Schema::new(result)),
            snapshot,
            spare: vec![table],
            spare_bytes_max: SPARE_BYTES,
        })
    }

    pub fn keys(&self) -> usize {
        self.keys.fields().len()
    }

    /// An empty table.
    pub fn table(&mut self) -> Result<Table, TableError> {
        match self.spare.pop() {
            Some(table) => Ok(table),
            None => Table::new(&self.keys, &self.arguments, &self.calls, false),
        }
    }

    /// An empty table of only keys.
    pub fn key_table(&self) -> Result<Table, TableError> {
        Table::new(&self.keys, &Schema::empty(), &[], false)
    }

    /// An empty table whose groups are identified only by number.
    pub fn state_table(&self) -> Result<Table, TableError> {
        Table::new(&Schema::empty(), &self.arguments, &self.calls, false)
    }

    /// Takes back a table that is no longer needed.
    pub fn give_back(&mut self, mut table: Table) {
        if self.spare_bytes() + table.capacity_bytes() <= self.spare_bytes_max {
            table.clear();
            self.spare.push(table);
        }
    }

    /// How much memory to keep in reserve, at least `SPARE_BYTES`: windows that share panes need many tables at once,
    /// and return them one by one.
    pub fn keep_spare(&mut self, bytes: usize) {
        self.spare_bytes_max = bytes.max(SPARE_BYTES);
        while self.spare_bytes() > self.spare_bytes_max {
            self.spare.pop();
        }
    }

    pub fn spare_bytes(&self) -> usize {
        self.spare.iter().map(Table::capacity_bytes).sum()
    }

    /// Rows of the result schema: results of a table, with their windows.
    pub fn results(
        &self,
        keys: &[ArrayRef],
        calls: &[ArrayRef],
        starts: Vec<i64>,
        ends: Vec<i64>,
    ) -> Result<RecordBatch, TableError> {
        let stamps: Int64Array = ends.iter().map(|end| end - 1).collect();
        let mut columns = keys.to_vec();
        columns.push(Arc::new(TimestampMillisecondArray::from(starts)));
        columns.push(Arc::new(TimestampMillisecondArray::from(ends)));
        columns.extend(calls.iter().cloned());
        columns.push(Arc::new(stamps));
        Ok(RecordBatch::try_new(self.result.clone(), columns)?)
    }

    pub fn snapshot_fields(&self) -> SnapshotFields {
        self.snapshot.clone()
    }

    /// Concatenates batches.
    pub fn joined(&self, mut pieces: Vec<RecordBatch>) -> Result<Option<RecordBatch>, TableError> {
        Ok(match pieces.len() {
            0 => None,
            1 => pieces.pop(),
            _ => Some(concat_batches(&self.result, &pieces)?),
        })
    }
}

/// The numbers of a table's groups, in pieces.
pub fn pieces(groups: usize, rows_max: usize) -> impl Iterator<Item = Vec<u32>> {
    let rows_max = rows_max.max(1);
    let starts = (0..groups).step_by(rows_max);
    starts.map(move |start| (start as u32..(start + rows_max).min(groups) as u32).collect())
}
