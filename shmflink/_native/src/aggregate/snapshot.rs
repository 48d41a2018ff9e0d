//! Frozen groups as batches in the order of their key groups.
//!
//! ```text
//! key_group | key columns | __start, __end of windows | partial columns | deleted, where there are only changes
//! ```
//! Made piece by piece in the thread that writes them: key groups of all keys, a counting sort of each part, columns.

use std::sync::Arc;

use arrow_array::{new_null_array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use arrow_select::interleave::interleave;

use super::frozen::{pieces, Frozen};
use super::ledger::Outcome;
use crate::exchange::error::ExchangeError;
use crate::exchange::hash::{combine_column, write_column, KeyGroups};

/// Rows of a batch.
const PIECE_ROWS: usize = 1 << 16;
/// Keys that are hashed at a time.
const HASHED_ROWS: usize = 1 << 13;

/// What is asked for at a barrier.
#[derive(Clone, Copy)]
pub struct Barrier {
    /// Changes alone may be given, and are remembered from now on.
    pub is_incremental: bool,
    /// All is given, and what is remembered stays as it is.
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
    /// Where keys lie in a table of their own: that table, and the place in it of each group's key.
    pub keys: Option<(Frozen, Vec<u32>)>,
    pub times: Times,
    pub is_deleted: bool,
}

/// The places of a part by key group; those of group g lie between `ends[g]` and `ends[g + 1]`.
struct Order {
    places: Vec<u32>,
    ends: Vec<usize>,
}

pub struct Snapshot {
    parts: Vec<Part>,
    orders: Vec<Order>,
    schema: SchemaRef,
    /// The columns behind those of keys and times.
    partials: Fields,
    key_groups: KeyGroups,
    outcome: Outcome,
    is_delta: bool,
    /// What comes next: a key group, a part, and how many of its places there were given.
    next: (usize, usize, usize),
}

/// What is frozen of a table: its parts, whether they are changes alone, and where to say that they were saved.
pub struct Freeze {
    pub parts: Vec<Part>,
    pub is_delta: bool,
    pub outcome: Outcome,
}

impl Part {
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn keys(&self, places: &[u32]) -> Result<Vec<ArrayRef>, ExchangeError> {
        match &self.keys {
            None => self.groups.keys(places),
            Some((table, of)) => table.keys(&places.iter().map(|place| of[*place as usize]).collect::<Vec<_>>()),
        }
    }

    fn columns(&self, places: &[u32], partials: &Fields) -> Result<Vec<ArrayRef>, ExchangeError> {
        let mut columns = self.keys(places)?;
        let each = |times: &[i64]| Int64Array::from_iter_values(places.iter().map(|place| times[*place as usize]));
        match &self.times {
            Times::None => {}
            Times::Same(start, end) => {
                let times = [*start, *end];
                columns.extend(times.map(|time| -> ArrayRef { Arc::new(Int64Array::from(vec![time; places.len()])) }));
            }
            Times::Each(starts, ends) => {
                columns.extend([starts, ends].map(|times| -> ArrayRef { Arc::new(each(times)) }))
            }
        }
        if self.is_deleted {
            columns.extend(partials.iter().map(|f| new_null_array(f.data_type(), places.len())));
        } else {
            columns.extend(self.groups.partials(places)?);
        }
        Ok(columns)
    }

    fn order(&self, key_groups: KeyGroups) -> Result<Order, ExchangeError> {
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

/// The key group of each key; without a key column it is the first.
fn groups_of(frozen: &Frozen, key_groups: KeyGroups) -> Result<Vec<u16>, ExchangeError> {
    let mut groups = Vec::with_capacity(frozen.len());
    let (mut hashes, mut scratch) = (Vec::new(), Vec::new());
    for places in pieces(frozen.len(), HASHED_ROWS) {
        let columns = frozen.keys(&places)?;
        hashes.clear();
        hashes.resize(places.len(), 0);
        for (index, column) in columns.iter().enumerate() {
            let is_canonical = column.data_type() == &DataType::LargeBinary;
            if index == 0 {
                write_column(column, is_canonical, &mut hashes)?;
            } else {
                combine_column(column, is_canonical, &mut scratch, &mut hashes)?;
            }
        }
        if columns.is_empty() {
            groups.resize(groups.len() + places.len(), 0);
        } else {
            groups.extend(hashes.iter().map(|hash| key_groups.of(*hash) as u16));
        }
    }
    Ok(groups)
}

impl Snapshot {
    /// `fields`: of keys and times; `partials`: those behind them.
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

    /// Rows that come, at most.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, ExchangeError> {
        if self.orders.is_empty() {
            for part in &mut self.parts {
                part.groups.finish()?;
                self.orders.push(part.order(self.key_groups)?);
            }
        }
        let (groups, places) = self.next_places();
        if groups.is_empty() {
            self.parts.clear();
            self.orders = Vec::new();
            return Ok(None);
        }
        Ok(Some(self.batch(groups, &places)?))
    }

    /// The key groups of the next rows; in the same order their parts and places there.
    fn next_places(&mut self) -> (Vec<i32>, Vec<(usize, u32)>) {
        let (mut group, mut part, mut given) = self.next;
        let (mut groups, mut rows) = (Vec::new(), Vec::new());
        while rows.len() < PIECE_ROWS && group < self.key_groups.count() as usize {
            let Some(order) = self.orders.get(part) else {
                (group, part, given) = (group + 1, 0, 0);
                continue;
            };
            let places = &order.places[order.ends[group] + given..order.ends[group + 1]];
            let count = places.len().min(PIECE_ROWS - rows.len());
            rows.extend(places[..count].iter().map(|place| (part, *place)));
            groups.resize(rows.len(), group as i32);
            if count == places.len() {
                (part, given) = (part + 1, 0);
            } else {
                given += count;
            }
        }
        self.next = (group, part, given);
        (groups, rows)
    }

    fn batch(&self, groups: Vec<i32>, rows: &[(usize, u32)]) -> Result<RecordBatch, ExchangeError> {
        let mut wanted = vec![Vec::new(); self.parts.len()];
        let mut at = Vec::with_capacity(rows.len());
        for (part, place) in rows {
            at.push((*part, wanted[*part].len()));
            wanted[*part].push(*place);
        }
        let used: Vec<usize> = (0..wanted.len()).filter(|part| !wanted[*part].is_empty()).collect();
        let columns = used
            .iter()
            .map(|part| self.parts[*part].columns(&wanted[*part], &self.partials));
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(groups))];
        if let [_] = used[..] {
            all.append(&mut columns[0]);
        } else {
            let mut numbers = vec![0; self.parts.len()];
            used.iter()
                .enumerate()
                .for_each(|(number, part)| numbers[*part] = number);
            at.iter_mut().for_each(|(part, _)| *part = numbers[*part]);
            for index in 0..columns[0].len() {
                let of_parts: Vec<_> = columns.iter().map(|columns| columns[index].as_ref()).collect();
                all.push(interleave(&of_parts, &at)?);
            }
        }
        if self.is_delta {
            let deleted: BooleanBuffer = rows.iter().map(|(part, _)| self.parts[*part].is_deleted).collect();
            all.push(Arc::new(BooleanArray::from(deleted)));
        }
        Ok(RecordBatch::try_new(self.schema.clone(), all)?)
    }
}
