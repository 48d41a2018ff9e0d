//! Frozen groups as batches ordered by key group.
//!
//! ```text
//! key_group | key columns | __start, __end of windows | partial columns | deleted, only in changes
//! ```
//! Created piece by piece in the writing thread: key groups of all keys, a counting sort of each part, columns.

use std::sync::Arc;

use arrow_array::{new_null_array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;

use super::frozen::{pieces, Frozen, CACHED_GROUPS};
use crate::error::TableError;
use crate::exchange::hash::{combine_column, write_column, KeyGroups};
use crate::keyed::ledger::Outcome;

/// Rows of a batch.
const PIECE_ROWS: usize = 1 << 16;
/// Keys hashed at a time.
const HASHED_ROWS: usize = 1 << 13;

/// If runs have at least this many rows on average, they are sliced and concatenated; shorter ones are taken row by
/// row.
const SLICED_ROWS: usize = 32;

/// What a barrier requests.
#[derive(Clone, Copy)]
pub struct Barrier {
    /// May consist of changes only; changes are remembered from now on.
    pub is_incremental: bool,
    /// Contains everything, and leaves the remembered changes as they are.
    pub is_savepoint: bool,
}

/// Start and end of the windows that groups are part of.
pub enum Times {
    None,
    Same(i64, i64),
    Each(Vec<i64>, Vec<i64>),
}

/// Groups of one table.
pub struct Part {
    pub groups: Frozen,
    /// If keys are in their own table: that table, and the position in it of each group's key.
    pub keys: Option<(Frozen, Vec<u32>)>,
    pub times: Times,
    pub is_deleted: bool,
}

/// The positions of a part by key group; those of group g are `ends[g]..ends[g + 1]`.
struct Order {
    places: Vec<u32>,
    ends: Vec<usize>,
}

/// Rows of one key group in one part, as positions in its order.
struct RunOfRows {
    group: usize,
    part: usize,
    start: usize,
    len: usize,
}

pub struct Snapshot {
    parts: Vec<Part>,
    orders: Vec<Order>,
    schema: SchemaRef,
    /// The columns after the key and time columns.
    partials: Fields,
    key_groups: KeyGroups,
    outcome: Outcome,
    is_delta: bool,
    /// The next position: a key group, a part, and how many of the part's positions have been emitted.
    next: (usize, usize, usize),
}

/// The frozen content of a table: its parts, whether they are only changes, and where to report that they were saved.
pub struct Freeze {
    pub parts: Vec<Part>,
    pub is_delta: bool,
    pub outcome: Outcome,
}

impl Part {
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn keys(&self, places: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        match &self.keys {
            None => self.groups.keys(places),
            Some((table, of)) => table.keys(&places.iter().map(|place| of[*place as usize]).collect::<Vec<_>>()),
        }
    }

    /// Some rows at a time, so that each is fetched once for all columns.
    fn columns(&self, places: &[u32], partials: &Fields) -> Result<Vec<ArrayRef>, TableError> {
        let pieces = places.chunks(CACHED_GROUPS).map(|places| {
            self.groups.prefetch(places);
            self.piece(places, partials)
        });
        joined(&pieces.collect::<Result<Vec<_>, _>>()?)
    }

    fn piece(&self, places: &[u32], partials: &Fields) -> Result<Vec<ArrayRef>, TableError> {
        let mut columns = self.keys(places)?;
        let each = |times: &[i64]| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                places.iter().map(|place| times[*place as usize]),
            ))
        };
        let same = |time: &i64| -> ArrayRef { Arc::new(Int64Array::from(vec![*time; places.len()])) };
        match &self.times {
            Times::None => {}
            Times::Same(start, end) => columns.extend([same(start), same(end)]),
            Times::Each(starts, ends) => columns.extend([each(starts), each(ends)]),
        }
        if self.is_deleted {
            columns.extend(partials.iter().map(|f| new_null_array(f.data_type(), places.len())));
        } else {
            columns.extend(self.groups.partials(places)?);
        }
        Ok(columns)
    }

    fn order(&self, key_groups: KeyGroups) -> Result<Order, TableError> {
        let groups = match &self.keys {
            None => groups_of(&self.groups, key_groups)?,
            Some((table, of)) => {
                let groups = groups_of(table, key_groups)?;
                of.iter().map(|key| groups[*key as usize]).collect()
            }
        };
        let mut ends = vec![0_usize; key_groups.count() as usize + 1];
        groups.iter().for_each(|group| ends[usize::from(*group) + 1] += 1);
        (1..ends.len()).for_each(|group| ends[group] += ends[group - 1]);
        let (mut at, mut places) = (ends.clone(), vec![0; groups.len()]);
        for (place, group) in groups.iter().enumerate() {
            let to = &mut at[usize::from(*group)];
            places[*to] = place as u32;
            *to += 1;
        }
        Ok(Order { places, ends })
    }
}

/// The key group of each key; the first group if there is no key column.
fn groups_of(frozen: &Frozen, key_groups: KeyGroups) -> Result<Vec<u16>, TableError> {
    let mut groups = Vec::with_capacity(frozen.len());
    for places in pieces(frozen.len(), HASHED_ROWS) {
        groups.extend(key_groups_of(&frozen.keys(&places)?, places.len(), key_groups)?);
    }
    Ok(groups)
}

/// The key group of each row's key; the first group if there is no key column.
pub fn key_groups_of(columns: &[ArrayRef], rows: usize, key_groups: KeyGroups) -> Result<Vec<u16>, TableError> {
    let (mut hashes, mut scratch) = (vec![0; rows], Vec::new());
    for (index, column) in columns.iter().enumerate() {
        let is_canonical = column.data_type() == &DataType::LargeBinary;
        if index == 0 {
            write_column(column, is_canonical, &mut hashes)?;
        } else {
            combine_column(column, is_canonical, &mut scratch, &mut hashes)?;
        }
    }
    if columns.is_empty() {
        return Ok(vec![0; rows]);
    }
    Ok(hashes.iter().map(|hash| key_groups.of(*hash) as u16).collect())
}

impl Snapshot {
    /// `fields`: of key and time columns; `partials`: those after them.
    pub fn new(frozen: Freeze, fields: Vec<Field>, partials: Fields, max_parallelism: u32) -> Self {
        let mut all = vec![Arc::new(Field::new("key_group", DataType::Int32, false))];
        all.extend(fields.into_iter().map(Arc::new));
        all.extend(partials.iter().cloned());
        if frozen.is_delta {
            all.push(Arc::new(Field::new("deleted", DataType::Boolean, false)));
        }
        Self {
            parts: frozen.parts,
            orders: Vec::new(),
            schema: Arc::new(Schema::new(all)),
            partials,
            key_groups: KeyGroups::new(max_parallelism),
            outcome: frozen.outcome,
            is_delta: frozen.is_delta,
            next: (0, 0, 0),
        }
    }

    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub fn is_delta(&self) -> bool {
        self.is_delta
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// An upper bound for the remaining rows.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, TableError> {
        if self.orders.is_empty() {
            for part in &mut self.parts {
                part.groups.finish()?;
                self.orders.push(part.order(self.key_groups)?);
            }
        }
        let runs = self.next_runs();
        if runs.is_empty() {
            self.parts.clear();
            self.orders = Vec::new();
            return Ok(None);
        }
        Ok(Some(self.batch(&runs)?))
    }

    /// The next rows.
    fn next_runs(&mut self) -> Vec<RunOfRows> {
        let (mut group, mut part, mut given) = self.next;
        let (mut runs, mut rows) = (Vec::new(), 0);
        while rows < PIECE_ROWS && group < self.key_groups.count() as usize {
            let Some(order) = self.orders.get(part) else {
                (group, part, given) = (group + 1, 0, 0);
                continue;
            };
            let start = order.ends[group] + given;
            let len = (order.ends[group + 1] - start).min(PIECE_ROWS - rows);
            if len > 0 {
                runs.push(RunOfRows {
                    group,
                    part,
                    start,
                    len,
                });
            }
            rows += len;
            if start + len == order.ends[group + 1] {
                (part, given) = (part + 1, 0);
            } else {
                given += len;
            }
        }
        self.next = (group, part, given);
        runs
    }

    fn batch(&self, runs: &[RunOfRows]) -> Result<RecordBatch, TableError> {
        let mut groups = Vec::with_capacity(PIECE_ROWS);
        let mut deleted = BooleanBufferBuilder::new(PIECE_ROWS);
        // For each part, its positions that become columns together.
        let mut wanted = vec![Vec::new(); self.parts.len()];
        for run in runs {
            groups.resize(groups.len() + run.len, run.group as i32);
            deleted.append_n(run.len, self.parts[run.part].is_deleted);
            wanted[run.part].extend_from_slice(&self.orders[run.part].places[run.start..run.start + run.len]);
        }
        let mut all: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(groups))];
        all.extend(self.columns(runs, &wanted)?);
        if self.is_delta {
            all.push(Arc::new(BooleanArray::from(deleted.finish())));
        }
        Ok(RecordBatch::try_new(self.schema.clone(), all)?)
    }

    /// The columns of all runs, in order; `wanted`: the places of each part.
    fn columns(&self, runs: &[RunOfRows], wanted: &[Vec<u32>]) -> Result<Vec<ArrayRef>, TableError> {
        let used: Vec<usize> = (0..wanted.len()).filter(|part| !wanted[*part].is_empty()).collect();
        let columns = used
            .iter()
            .map(|part| self.parts[*part].columns(&wanted[*part], &self.partials));
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
        if let [_] = used[..] {
            return Ok(columns.remove(0));
        }
        let mut numbers = vec![0; self.parts.len()];
        used.iter()
            .enumerate()
            .for_each(|(number, part)| numbers[*part] = number);
        let mut taken = vec![0; used.len()];
        let rows: usize = wanted.iter().map(Vec::len).sum();
        if rows >= SLICED_ROWS * runs.len() {
            let slices = runs.iter().map(|run| {
                let number = numbers[run.part];
                let start = taken[number];
                taken[number] += run.len;
                columns[number]
                    .iter()
                    .map(|column| column.slice(start, run.len))
                    .collect()
            });
            return joined(&slices.collect::<Vec<Vec<_>>>());
        }
        let mut at = Vec::with_capacity(rows);
        for run in runs {
            let number = numbers[run.part];
            at.extend((taken[number]..taken[number] + run.len).map(|row| (number, row)));
            taken[number] += run.len;
        }
        let interleaved = (0..columns[0].len()).map(|index| {
            let of_parts: Vec<_> = columns.iter().map(|columns| columns[index].as_ref()).collect();
            interleave(&of_parts, &at)
        });
        Ok(interleaved.collect::<Result<_, _>>()?)
    }
}

/// Concatenates columns.
fn joined(pieces: &[Vec<ArrayRef>]) -> Result<Vec<ArrayRef>, TableError> {
    if let [piece] = pieces {
        return Ok(piece.clone());
    }
    let columns = (0..pieces[0].len()).map(|index| {
        let of_pieces: Vec<_> = pieces.iter().map(|columns| columns[index].as_ref()).collect();
        concat(&of_pieces)
    });
    Ok(columns.collect::<Result<_, _>>()?)
}
